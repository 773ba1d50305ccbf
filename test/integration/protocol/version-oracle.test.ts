import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, it } from "vitest";
import { compareVersions } from "../../../protocol/version-order.ts";

const PAIR_COUNT = 300;
const hasDpkg = spawnSync("dpkg", ["--version"]).status === 0;

// Without a trailing `+N`: that is a revision of ours, which dpkg does not know.
const part = fc.constantFrom("0", "1", "01", "9", "10", "a", "b", "rc", "~", ".", "-", "+dfsg");
const version = fc
  .tuple(
    fc.constantFrom("", "", "0:", "1:"),
    fc.array(part, { maxLength: 5 }),
    fc.constantFrom("", "~", "a"),
  )
  .map(([epoch, parts, end]) => `${epoch}1${parts.join("")}${end}`)
  .filter((text) => !text.endsWith("-"));

// Skipped where there is no dpkg to compare with.
it.skipIf(!hasDpkg)("orders Debian versions as dpkg does", () => {
  const pairs = fc.sample(fc.tuple(version, version), PAIR_COUNT);
  const script = pairs
    .map(
      ([one, other]) =>
        `for op in lt eq gt; do dpkg --compare-versions '${one}' $op '${other}' && echo $op; done`,
    )
    .join("\n");

  const { stdout } = spawnSync("sh", ["-s"], { input: script, encoding: "utf8" });

  const answers = stdout.trim().split("\n");
  expect(answers).toHaveLength(PAIR_COUNT);
  const ours = pairs.map(([one, other]) => {
    const order = compareVersions("deb", one, other);
    return `${one} ${order < 0 ? "lt" : order > 0 ? "gt" : "eq"} ${other}`;
  });
  expect(ours).toEqual(pairs.map(([one, other], at) => `${one} ${answers[at]} ${other}`));
});
