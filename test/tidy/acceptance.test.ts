/** The acceptance list itself, and that test titles only name what is on it. */
import { expect, it } from "vitest";
import {
  coverageOf,
  readAcceptanceList,
  readTestTitles,
  titlesIn,
} from "../../scripts/acceptance.ts";

const AREA_SIZES = { SE: 25, MYP: 31, ZEN: 25, OCO: 50, OCS: 33, BR: 7, D: 12 };

it("lists every behaviour once, in order", async () => {
  const ids = (await readAcceptanceList()).map(({ id }) => id);

  const expected = Object.entries(AREA_SIZES).flatMap(([area, size]) =>
    Array.from({ length: size }, (_none, index) => `${area}${area === "D" ? "" : "-"}${index + 1}`),
  );
  expect(ids).toEqual(expected);
});

it("finds no test that names an unknown behaviour", async () => {
  const titles = await readTestTitles();

  expect(titles.length).toBeGreaterThan(20);
  expect(coverageOf(await readAcceptanceList(), titles).unknown).toEqual([]);
});

it("notices a title with an unknown id, in every way of writing a test", async () => {
  const unlisted = ["OCS", 99].join("-");
  const source = [
    `it("${unlisted} plain", () => {});`,
    `test.skipIf(true)("${unlisted} behind a condition", () => {});`,
    `it.each([1])(\`${unlisted} in a template \${1}\`, () => {});`,
  ].join("\n");

  const titles = titlesIn("a.test.ts", source).map((title) => ({ file: "a.test.ts", title }));

  const { unknown } = coverageOf(await readAcceptanceList(), titles);
  expect(unknown.map(({ id }) => id)).toEqual([unlisted, unlisted, unlisted]);
});

it("counts a behaviour as proved by the title that names it", async () => {
  const titles = [{ file: "a.test.ts", title: "BR-4 and OCS-10 from a peer" }];

  const { entries } = coverageOf(await readAcceptanceList(), titles);

  const proved = entries.filter(({ tests }) => tests.length > 0).map(({ id }) => id);
  expect(proved).toEqual(["OCS-10", "BR-4"]);
});
