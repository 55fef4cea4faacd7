import { expect, test } from "vitest";
import { cgroupFolders, inactiveOfVmStat, machineMemory, readLimit, readMeminfo, sharedFairly } from "./memory.ts";

test("what is available is what the kernel says, not what is free", () => {
  const text = "MemTotal:       24684112 kB\nMemFree:         4937196 kB\nMemAvailable:   21291348 kB\nBuffers: 1 kB\n";
  expect(readMeminfo(text)).toEqual({ totalBytes: 24_684_112 * 1024, availableBytes: 21_291_348 * 1024 });
  expect(readMeminfo("MemTotal: 5 kB\n")).toBeUndefined();
});

test("a limit may stand in the own control group and in all above it, of both versions", () => {
  expect(cgroupFolders("0::/user.slice/a\n")).toEqual([
    "/sys/fs/cgroup/user.slice/a",
    "/sys/fs/cgroup/user.slice",
    "/sys/fs/cgroup",
  ]);
  expect(cgroupFolders("9:name=systemd:/\n4:cpu,memory:/docker/x\n3:cpuset:/\n")).toEqual([
    "/sys/fs/cgroup/memory/docker/x",
    "/sys/fs/cgroup/memory/docker",
    "/sys/fs/cgroup/memory",
  ]);
  expect(cgroupFolders("")).toEqual([]);
});

test("what a control group has left counts files read once as free", () => {
  const stat = "inactive_file 100\nactive_file 7\ntotal_inactive_file 300\n";
  expect(readLimit({ limit: "1000\n", usage: "900\n", stat })).toEqual({ totalBytes: 1000, availableBytes: 400 });
  expect(readLimit({ limit: "1000\n", usage: "1200\n", stat: "" })).toEqual({ totalBytes: 1000, availableBytes: 0 });
});

test.each(["max\n", "9223372036854771712\n", ""])("%j is no limit", (limit) => {
  expect(readLimit({ limit, usage: "900\n", stat: "" })).toBeUndefined();
});

test("inactive pages of a Mac count", () => {
  const text = "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:   4.\nPages inactive:   10.\n";
  expect(inactiveOfVmStat(text)).toBe(163_840);
  expect(inactiveOfVmStat("")).toBe(0);
});

test("this machine has memory, and this process uses some of it", async () => {
  const { totalBytes, availableBytes } = await machineMemory();
  expect(availableBytes).toBeGreaterThan(0);
  expect(availableBytes).toBeLessThanOrEqual(totalBytes);
  if (process.platform === "linux") expect(await sharedFairly(process.pid)).toBeGreaterThan(2 ** 20);
  expect(await sharedFairly(2 ** 22 + 1)).toBeUndefined();
});
