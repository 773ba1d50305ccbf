import { expect, it } from "vitest";
import { parseSize, parseSizeOrShare } from "../../../coordinator/cli/sizes.ts";

it.each([
  ["500kB", 500_000],
  ["1MB", 1_000_000],
  [" 10GB ", 10_000_000_000],
  ["2TB", 2_000_000_000_000],
])("takes %s as a size", (text, sizeBytes) => {
  expect(parseSize("--size")(text)).toBe(sizeBytes);
  expect(parseSizeOrShare("--quota")(text)).toEqual({ kind: "bytes", sizeBytes });
});

it.each(["10", "10 GB", "1.5GB", "GB", "-1GB", "10GiB", "10gb", ""])(
  "refuses %j as a size",
  (text) => {
    expect(() => parseSize("--size")(text)).toThrow(/a size such as 500MB/u);
    expect(() => parseSizeOrShare("--quota")(text)).toThrow(/or a share of the disk such as 20%/u);
  },
);

it("takes a share of the disk", () => {
  expect(["0%", "20%", "100%"].map(parseSizeOrShare("--quota"))).toEqual([
    { kind: "share", share: 0 },
    { kind: "share", share: 0.2 },
    { kind: "share", share: 1 },
  ]);
  expect(() => parseSizeOrShare("--quota")("101%")).toThrow(/--quota "101%"/u);
});
