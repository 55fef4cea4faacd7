import { expect, test } from "vitest";
import { isLoopback } from "./loopback.ts";

test.each(["localhost", "127.0.0.1", "127.9.8.7", "::1"])("%s is this machine", (host) => {
  expect(isLoopback(host)).toBe(true);
});

test.each(["0.0.0.0", "::", "192.168.0.1", "127.0.0.1.example.org", "example.org", "127.", ""])("%s is not", (host) => {
  expect(isLoopback(host)).toBe(false);
});
