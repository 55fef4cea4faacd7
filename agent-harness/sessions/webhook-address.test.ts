import type { LookupAddress } from "node:dns";
import { expect, test } from "vitest";
import { guardedLookup, mayPostTo, requirePostable } from "./webhook-address.ts";

const strict = { allowPrivate: false };

test.each(["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "93.184.216.34", "2606:2800:220:1::1"])(
  "%s may be posted to",
  (address) => {
    expect(mayPostTo(address, strict)).toBe(true);
  },
);

test.each([
  "10.1.2.3",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "169.254.169.254",
  "100.64.0.1",
  "0.0.0.0",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "fd00::1",
  "fe80::1",
  "ff02::1",
  "::ffff:10.0.0.1",
  "::ffff:a9fe:a9fe",
  "64:ff9b::a00:1",
  "2002:a00:1::",
])("%s may not, unless that is allowed", (address) => {
  expect(mayPostTo(address, strict)).toBe(false);
  expect(mayPostTo(address, { allowPrivate: true })).toBe(true);
});

/** What a lookup gives to whoever connects, with these answers of the system. */
function look(addresses: LookupAddress[], all: boolean): Promise<unknown> {
  const resolve = ((_host: string, _wanted: object, done: (error: null, found: LookupAddress[]) => void) =>
    done(null, addresses)) as unknown as NonNullable<Parameters<typeof guardedLookup>[1]>;
  return new Promise((give) => {
    guardedLookup(strict, resolve)("hook.example", { all }, (error, found, family) => give(error ?? [found, family]));
  });
}

test("a name is looked up to the addresses that may be posted to, and to none when there is none", async () => {
  const inner = { address: "10.0.0.1", family: 4 };
  const outer = { address: "93.184.216.34", family: 4 };
  expect(await look([inner, outer], true)).toEqual([[outer], undefined]);
  expect(await look([inner, outer], false)).toEqual(["93.184.216.34", 4]);
  expect(await look([inner], true)).toMatchObject({
    code: "INVALID_REQUEST",
    message: "A webhook is not posted to hook.example: its address 10.0.0.1 is private.",
    hint: expect.stringContaining("HARNESS_WEBHOOK_ALLOW_PRIVATE=1"),
  });
});

test.each(["http://10.0.0.1/", "http://[fd00::1]/", "http://0xa000001/", "http://169.254.169.254/latest"])(
  "%s is refused before anything is connected to",
  (url) => {
    expect(() => requirePostable(new URL(url), strict)).toThrow("is a private address");
  },
);
