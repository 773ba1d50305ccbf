import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  chooseSources,
  type OpenFile,
  type PatchOffer,
  type SourceInput,
} from "../../../node/core/choose-sources.ts";
import { parseDigest, type Digest } from "../../../protocol/ids.ts";

function digestOf(text: string): Digest {
  return parseDigest(createHash("sha256").update(text).digest("hex"));
}

function open(place: number, missing: readonly number[]): OpenFile {
  return { place, sha256: digestOf(String(place)), missing };
}

function patch(entry: number, files: readonly number[], cost: number): PatchOffer {
  return { entry, files, isGroup: files.length > 1, fragments: [entry * 10], cost };
}

function chosen(input: Partial<SourceInput>) {
  const choice = chooseSources({
    files: [],
    localFiles: new Set(),
    patches: [],
    costOf: () => 100,
    ...input,
  });
  return {
    copies: [...choice.copies],
    patches: choice.patches,
    fragments: [...choice.fragments],
    patchFragments: [...choice.patchFragments],
  };
}

describe("chooseSources", () => {
  it("copies a file that is here, and fetches fragments for the others", () => {
    const files = [open(0, [0, 1]), open(1, [1, 2])];

    expect(chosen({ files, localFiles: new Set([digestOf("0")]) })).toEqual({
      copies: [0],
      patches: [],
      fragments: [1, 2],
      patchFragments: [],
    });
  });

  it("takes a patch that saves 30 %, and no other", () => {
    const files = [open(0, [0, 1, 2]), open(1, [3])];

    const choice = chosen({ files, patches: [patch(0, [0], 210), patch(1, [1], 71)] });

    expect(choice).toMatchObject({ patches: [0], fragments: [3], patchFragments: [0] });
  });

  it("counts only fragments that no other file needs as saved", () => {
    const files = [open(0, [0, 1]), open(1, [1])];

    expect(chosen({ files, patches: [patch(0, [0], 80)] }).patches).toEqual([]);
  });

  it("takes patches of small files together, because they share fragments", () => {
    const files = [open(0, [7]), open(1, [7]), open(2, [7]), open(3, [7])];
    const both = [patch(0, [0, 1], 30), patch(1, [2, 3], 30)];

    expect(chosen({ files, patches: both })).toMatchObject({ patches: [0, 1], fragments: [] });
    expect(chosen({ files, patches: both.slice(1) })).toMatchObject({
      patches: [],
      fragments: [7],
    });
  });

  it("leaves patches where neighbours have the fragments", () => {
    const files = [open(0, [0, 1])];

    const choice = chosen({ files, patches: [patch(0, [0], 20)], costOf: () => 5 });

    expect(choice).toMatchObject({ patches: [], fragments: [0, 1] });
  });

  it("needs no patch of files that are all here", () => {
    const files = [open(0, [0])];
    const localFiles = new Set([digestOf("0")]);

    expect(chosen({ files, localFiles, patches: [patch(0, [0], 1)] }).patches).toEqual([]);
  });
});
