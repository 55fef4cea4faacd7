import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { connectedPorts, readNetstat, readProcNet } from "./connections.ts";

test("a table of /proc/net names both ports of each connection, also of one that has ended, but no listener", () => {
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0",
    "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1",
    "   2: 0100007F:C351 0100007F:1F91 06 00000000:00000000 03:00000D2C 00000000     0        0 0 3 0",
    " 115: 00000000000000000000000001000000:1F92 00000000000000000000000001000000:C352 08 00000000:00000000 00:00000000",
  ].join("\n");
  expect(readProcNet(text)).toEqual([
    [8080, 50_000],
    [50_001, 8081],
    [8082, 50_002],
  ]);
});

test("netstat of macOS too", () => {
  const text = [
    "Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)",
    "tcp4       0      0  127.0.0.1.8010         127.0.0.1.50000        ESTABLISHED",
    "tcp6       0      0  ::1.50001              ::1.8020               TIME_WAIT",
    "tcp4       0      0  127.0.0.1.8010         *.*                    LISTEN",
  ].join("\n");
  expect(readNetstat(text)).toEqual([
    [8010, 50_000],
    [50_001, 8020],
  ]);
});

test("a port is connected while somebody is on it, and not by listening", async () => {
  // A connection that is reset is an error of its other end.
  const server = createServer((end) => end.on("error", () => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await connectedPorts([port])).toEqual(new Set());
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  expect(await connectedPorts([port])).toEqual(new Set([port]));
  socket.resetAndDestroy();
  await until("the connection is forgotten", async () => (await connectedPorts([port])).size === 0);
  server.close();
});
