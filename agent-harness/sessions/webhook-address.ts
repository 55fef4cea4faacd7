import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { HarnessError } from "../shared/errors.ts";

/* Which addresses a webhook may be posted to. Asked of the address that is connected to, not of the name: a name can answer twice. */

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** What is not the public internet: private, link-local (also the metadata services of clouds), shared, reserved, multicast. */
const inner = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  inner.addSubnet(net, bits, "ipv4");
}
for (const [net, bits] of [
  ["::", 96],
  // NAT64 and 6to4 carry an IPv4 address that a gateway connects to.
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["2002::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const) {
  inner.addSubnet(net, bits, "ipv6");
}

/** Whether an address may be posted to. Loopback may: that is where receivers of the same machine are. */
export function mayPostTo(address: string, { allowPrivate }: { allowPrivate: boolean }): boolean {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  return allowPrivate || loopback.check(address, family) || !inner.check(address, family);
}

/** A lookup for `net.connect` that gives no address that may not be posted to. */
export function guardedLookup(options: { allowPrivate: boolean }, resolve: typeof lookup = lookup): LookupFunction {
  return (host, wanted, done) => {
    resolve(host, { ...wanted, all: true }, (error, addresses) => {
      if (error) return done(error, "", 0);
      const allowed = addresses.filter(({ address }) => mayPostTo(address, options));
      const [first] = allowed;
      if (first === undefined) return done(refused(host, addresses[0]?.address ?? "no address"), "", 0);
      if (wanted.all) return done(null, allowed);
      done(null, first.address, first.family);
    });
  };
}

/** The address in a URL's host, refused when it may not be posted to; a name is looked at when it is looked up. */
export function requirePostable(url: URL, options: { allowPrivate: boolean }): void {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !mayPostTo(host, options)) throw refused(host, host);
}

const refused = (host: string, address: string): HarnessError =>
  new HarnessError(
    "INVALID_REQUEST",
    host === address
      ? `A webhook is not posted to ${address}: it is a private address.`
      : `A webhook is not posted to ${host}: its address ${address} is private.`,
    { hint: "Set HARNESS_WEBHOOK_ALLOW_PRIVATE=1 for agent-harness serve when that is wanted." },
  );
