import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkPackagePath, checkTree, type TreeEntry } from "../../../protocol/package-path.ts";

interface Vectors {
  good: string[];
  bad: { path: string; reason: string }[];
  trees: { entries: string[]; refused: string | null; reason?: string }[];
}

const vectors = JSON.parse(readFileSync(new URL("paths.json", import.meta.url), "utf8")) as Vectors;

describe("package paths (trust 4.1 rule 1)", () => {
  it("has at least 60 paths", () => {
    expect(vectors.good.length + vectors.bad.length).toBeGreaterThanOrEqual(60);
  });

  it.each(vectors.good.map((path) => ({ path })))("takes $path", ({ path }) => {
    expect(checkPackagePath(path)).toBeUndefined();
  });

  it.each(vectors.bad)("refuses $path: $reason", ({ path, reason }) => {
    expect(checkPackagePath(path)).toContain(reason);
  });
});

describe("package trees (trust 4.1 rule 2)", () => {
  it.each(vectors.trees)("judges $entries", ({ entries, refused, reason }) => {
    const tree = entries.map<TreeEntry>((path) =>
      path.endsWith("/") ? { kind: "folder", path: path.slice(0, -1) } : { kind: "file", path },
    );

    const refusal = checkTree(tree);

    expect(refusal?.path ?? null).toBe(refused);
    if (reason !== undefined) expect(refusal?.reason).toContain(reason);
  });
});
