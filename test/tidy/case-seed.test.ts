/** Random cases are the same in every run of the gate, whichever project they belong to. */
import fc from "fast-check";
import { expect, it } from "vitest";
import config from "../../vitest.config.ts";
import { CASE_SEED, isNightly } from "../support/config.ts";

it("every project starts its random cases at the same place, but at night", () => {
  const projects = config.test?.projects ?? [];
  const setups = projects.map((project) =>
    typeof project === "object" && "test" in project ? project.test?.setupFiles : undefined,
  );

  expect(setups.length).toBeGreaterThan(5);
  for (const files of setups) expect(files).toEqual(["test/support/case-seed.ts"]);
  expect(fc.readConfigureGlobal()?.seed).toBe(CASE_SEED);
  expect(CASE_SEED === undefined).toBe(isNightly);
});
