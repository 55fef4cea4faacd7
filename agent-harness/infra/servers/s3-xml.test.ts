import { expect, it } from "vitest";
import { elements, findElement, toXml } from "./s3-xml.ts";

it("writes text that reads back as it was", () => {
  const key = `<&>"' \u0001 ünï 🙂`;
  const xml = toXml("Delete", { Object: [{ Key: key }, { Key: "b", Left: undefined }], Quiet: true });
  expect(elements(xml, "Object").map((one) => findElement(one, "Key"))).toEqual([key, "b"]);
  expect(findElement(xml, "Quiet")).toBe("true");
  expect(findElement(xml, "Left")).toBeUndefined();
});

it("reads no declarations", () => {
  expect(() => elements('<!DOCTYPE a [<!ENTITY b "c">]><Key>&b;</Key>', "Key")).toThrow("declaration");
});
