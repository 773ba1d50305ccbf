import fc from "fast-check";
import { expect, it } from "vitest";
import { compareVersions, parseVersionRange } from "../../../protocol/version-order.ts";
import { parseInventoryQuery } from "../../../protocol/inventory-query.ts";
import { DeployError } from "../../../protocol/errors.ts";

const scheme = fc.constantFrom("numbers", "semver", "deb", "rpm");
const version = fc
  .array(fc.constantFrom("0", "1", "2", "10", "007", ".", "-", "~", "+", "a", "rc", "B", "_"), {
    minLength: 1,
    maxLength: 7,
  })
  .map((parts) => `1${parts.join("")}`);

it("orders versions totally: turned round it is the opposite, and it carries on over a third", () => {
  fc.assert(
    fc.property(scheme, version, version, version, (by, a, b, c) => {
      const sign = (one: string, other: string): number =>
        Math.sign(compareVersions(by, one, other));

      expect(sign(a, a)).toBe(0);
      expect(sign(a, b) + sign(b, a)).toBe(0);
      if (sign(a, b) <= 0 && sign(b, c) <= 0) expect(sign(a, c)).toBeLessThanOrEqual(0);
    }),
    { numRuns: 2000 },
  );
});

it("answers any text with a range or query, or with the place of the error", () => {
  const noise = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc
      .array(
        fc.constantFrom(
          "os",
          "=",
          "(",
          ")",
          "and",
          "or",
          "not",
          "in",
          ",",
          "1",
          "installed",
          '"',
          "<",
        ),
        {
          maxLength: 20,
        },
      )
      .map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(noise, (text) => {
      for (const parse of [parseVersionRange, parseInventoryQuery]) {
        try {
          parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(DeployError);
          expect(String(error)).toMatch(/at character \d+/u);
        }
      }
    }),
    { numRuns: 1000 },
  );
});
