/**
 * Which of two versions is newer, by the package's own scheme, and whether one lies in a range such as
 * `>=1.2 <2 || 3.1`. A suffix `+N` is a version's revision: the same version with a newer procedure (OCO-33).
 */
import { DeployError } from "./errors.ts";
import type { VersionScheme } from "./package-rules.ts";

type Operator = "=" | ">" | ">=" | "<" | "<=";

interface Comparator {
  readonly operator: Operator;
  readonly version: string;
}

/** Alternatives of comparators that all have to hold; no comparator holds for every version. */
export type VersionRange = readonly (readonly Comparator[])[];

const REVISION = /\+(\d{1,9})$/u;
const COMPARATOR = /^(>=|<=|>|<|=)?\s*([0-9A-Za-z][0-9A-Za-z.+~^_:-]*)$/u;

/** Negative where `one` is older than `other`, 0 where they are the same. */
export function compareVersions(scheme: VersionScheme, one: string, other: string): number {
  const order = comparePlain(scheme, plainVersion(one), plainVersion(other));
  return order || versionRevision(one) - versionRevision(other);
}

/** The version without its revision. */
export function plainVersion(version: string): string {
  return version.replace(REVISION, "");
}

/** 0 where there is none. */
export function versionRevision(version: string): number {
  return Number(REVISION.exec(version)?.[1] ?? 0);
}

/** The same version, perhaps with another procedure. */
export function isSameVersion(one: string, other: string): boolean {
  return plainVersion(one) === plainVersion(other);
}

/** Throws INPUT_INVALID naming the place. */
export function parseVersionRange(text: string): VersionRange {
  let at = 1;
  return text.split("||").map((alternative) => {
    const place = at;
    at += alternative.length + 2;
    return comparatorsOf(alternative, text, place);
  });
}

/** Revisions do not count: a newer procedure does not leave a range. */
export function inVersionRange(
  range: VersionRange,
  scheme: VersionScheme,
  version: string,
): boolean {
  const plain = plainVersion(version);
  return range.some((all) =>
    all.every((comparator) =>
      holds(comparator.operator, comparePlain(scheme, plain, plainVersion(comparator.version))),
    ),
  );
}

function holds(operator: Operator, order: number): boolean {
  switch (operator) {
    case "=":
      return order === 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    default:
      return operator satisfies never;
  }
}

function comparatorsOf(alternative: string, text: string, place: number): readonly Comparator[] {
  // `>= 1.2` is one comparator: a blank after the operator belongs to it.
  const words = alternative
    .replaceAll(/([<>=])\s+/gu, "$1")
    .split(/\s+/u)
    .filter(Boolean);
  if (words.length === 0) throw badRange(text, place);
  return words
    .filter((word) => word !== "*")
    .map((word) => {
      const [, operator, version] = COMPARATOR.exec(word) ?? [];
      if (version === undefined) {
        throw badRange(text, place + Math.max(alternative.indexOf(word), 0));
      }
      return { operator: operatorOf(operator), version };
    });
}

function operatorOf(text: string | undefined): Operator {
  const known: readonly Operator[] = [">", ">=", "<", "<="];
  return known.find((operator) => operator === text) ?? "=";
}

function badRange(text: string, place: number): DeployError {
  return new DeployError("INPUT_INVALID", {
    what: `the version range "${text.slice(0, 200)}" at character ${place}`,
    expected: "comparisons such as >=1.2 <2, 1.2.3 or *, with || between alternatives",
  });
}

function comparePlain(scheme: VersionScheme, one: string, other: string): number {
  switch (scheme) {
    case "numbers":
      return compareLists(digitRuns(one), digitRuns(other), compareDigits, "0");
    case "semver":
      return compareSemver(one, other);
    case "deb":
      return compareDeb(one, other);
    case "rpm":
      return compareRpm(one, other);
    default:
      return scheme satisfies never;
  }
}

function digitRuns(version: string): readonly string[] {
  return version.match(/\d+/gu) ?? [];
}

/** By value, however long: leading zeros do not count. */
function compareDigits(one: string, other: string): number {
  const [left, right] = [one.replace(/^0+/u, ""), other.replace(/^0+/u, "")];
  return left.length - right.length || compareText(left, right);
}

function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function compareLists(
  one: readonly string[],
  other: readonly string[],
  compare: (left: string, right: string) => number,
  missing: string,
): number {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const order = compare(one[at] ?? missing, other[at] ?? missing);
    if (order !== 0) return order;
  }
  return 0;
}

// semver.org, 11: numbers first, then a pre-release is older than none; what follows `+` does not count.
function compareSemver(one: string, other: string): number {
  const [left, right] = [semverParts(one), semverParts(other)];
  const order = compareLists(left.core, right.core, compareDigits, "0");
  if (order !== 0) return order;
  if (left.pre.length === 0 || right.pre.length === 0) return right.pre.length - left.pre.length;
  // A missing identifier is older than any.
  return compareLists(left.pre, right.pre, compareIdentifiers, "");
}

function semverParts(version: string): { core: readonly string[]; pre: readonly string[] } {
  const [plain = ""] = version.split("+");
  const dash = plain.indexOf("-");
  const core = dash < 0 ? plain : plain.slice(0, dash);
  const pre = dash < 0 ? [] : plain.slice(dash + 1).split(".");
  return { core: digitRuns(core), pre };
}

function compareIdentifiers(one: string, other: string): number {
  if (one === "" || other === "") return one.length - other.length;
  const [isNumber, isOtherNumber] = [/^\d+$/u.test(one), /^\d+$/u.test(other)];
  if (isNumber && isOtherNumber) return compareDigits(one, other);
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
  return compareText(one, other);
}

// deb-version(7): epoch, upstream version, Debian revision.
function compareDeb(one: string, other: string): number {
  const [left, right] = [debParts(one), debParts(other)];
  return (
    compareDigits(left.epoch, right.epoch) ||
    compareDebText(left.upstream, right.upstream) ||
    compareDebText(left.revision, right.revision)
  );
}

function debParts(version: string): { epoch: string; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon < 0 ? "0" : version.slice(0, colon),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? "" : rest.slice(dash + 1),
  };
}

/** Texts and numbers by turns; in a text `~` is older than its end, and letters older than the rest. */
function compareDebText(one: string, other: string): number {
  const [left, right] = [turns(one), turns(other)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [a, b] = [left[at] ?? "", right[at] ?? ""];
    const order = at % 2 === 0 ? compareDebLetters(a, b) : compareDigits(a, b);
    if (order !== 0) return order;
  }
  return 0;
}

/** Text, number, text, number …; the first may be empty. */
function turns(text: string): readonly string[] {
  return text.split(/(\d+)/u);
}

function compareDebLetters(one: string, other: string): number {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const order = debRank(one[at]) - debRank(other[at]);
    if (order !== 0) return order;
  }
  return 0;
}

function debRank(letter: string | undefined): number {
  if (letter === undefined) return 0;
  if (letter === "~") return -1;
  const code = letter.codePointAt(0) ?? 0;
  return /[A-Za-z]/u.test(letter) ? code : code + 256;
}

// Epoch, version, release; one without a release is older than any with it, so that the order is total.
function compareRpm(one: string, other: string): number {
  const [left, right] = [debParts(one), debParts(other)];
  return (
    compareDigits(left.epoch, right.epoch) ||
    compareRpmText(left.upstream, right.upstream) ||
    compareRpmText(left.revision, right.revision)
  );
}

/** As rpmvercmp: segments of digits or letters; `~` is older than the end, `^` newer than the end only. */
function compareRpmText(one: string, other: string): number {
  const [left, right] = [rpmSegments(one), rpmSegments(other)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const order = compareSegments(left[at], right[at]);
    if (order !== 0) return order;
  }
  return 0;
}

function rpmSegments(text: string): readonly string[] {
  return text.match(/\d+|[A-Za-z]+|~|\^/gu) ?? [];
}

function compareSegments(one: string | undefined, other: string | undefined): number {
  if (one === other) return 0;
  if (one === "~" || other === "~") return one === "~" ? -1 : 1;
  if (one === "^") return other === undefined ? 1 : -1;
  if (other === "^") return one === undefined ? -1 : 1;
  if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
  const [isNumber, isOtherNumber] = [/^\d/u.test(one), /^\d/u.test(other)];
  if (isNumber && isOtherNumber) return compareDigits(one, other);
  if (isNumber !== isOtherNumber) return isNumber ? 1 : -1;
  return compareText(one, other);
}
