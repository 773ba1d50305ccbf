/**
 * A small query language over what is known of an endpoint, for groups and requirements:
 * `os = linux and site in (berlin, bonn) and installed acme/app < 2.0 and not memoryMb < 4096`.
 * What is not known matches no comparison. Bounded, so that a query costs little at every check-in.
 */
import type { PackageRef } from "./ids.ts";
import { readWords, type Word, type WordReader } from "./inventory-words.ts";
import { isInCidr, parseCidr, type Cidr } from "./location-match.ts";
import type { VersionScheme } from "./package-rules.ts";
import {
  compareVersions,
  inVersionRange,
  parseVersionRange,
  type VersionRange,
} from "./version-order.ts";

/** What a query can ask about; undefined: not known. */
export interface InventoryFacts {
  readonly name: string | undefined;
  readonly site: string | undefined;
  readonly role: string | undefined;
  readonly os: string | undefined;
  readonly osName: string | undefined;
  readonly osVersion: string | undefined;
  readonly arch: string | undefined;
  readonly address: string | undefined;
  readonly memoryMb: number | undefined;
  readonly freeDiskGb: number | undefined;
  readonly isServer: boolean | undefined;
  readonly hasUser: boolean | undefined;
  /** What the last scan found. */
  readonly software: readonly { readonly name: string; readonly version: string }[];
  /** Packages of ours, with their version schemes where these are not `numbers`. */
  readonly installed: readonly (PackageRef & { readonly scheme?: VersionScheme | undefined })[];
}

type TextField = "name" | "site" | "role" | "os" | "osName" | "arch";
type NumberField = "memoryMb" | "freeDiskGb";
type FlagField = "isServer" | "hasUser";
type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=";

export type InventoryQuery =
  | { readonly kind: "all" | "any"; readonly parts: readonly InventoryQuery[] }
  | { readonly kind: "not"; readonly part: InventoryQuery }
  | { readonly kind: "text"; readonly field: TextField; readonly values: readonly string[] }
  | {
      readonly kind: "number";
      readonly field: NumberField;
      readonly operator: Operator;
      readonly value: number;
    }
  | { readonly kind: "flag"; readonly field: FlagField }
  | { readonly kind: "osVersion"; readonly operator: Operator; readonly value: string }
  | { readonly kind: "address"; readonly cidrs: readonly Cidr[] }
  | {
      readonly kind: "installed" | "software";
      readonly name: string;
      readonly versions: VersionRange;
    };

const TEXT_FIELDS: readonly TextField[] = ["name", "site", "role", "os", "osName", "arch"];
const NUMBER_FIELDS: readonly NumberField[] = ["memoryMb", "freeDiskGb"];
const FLAG_FIELDS: readonly FlagField[] = ["isServer", "hasUser"];
const OPERATORS: readonly Operator[] = ["=", "!=", "<", "<=", ">", ">="];
export const INVENTORY_FIELDS: readonly string[] = [
  ...TEXT_FIELDS,
  ...NUMBER_FIELDS,
  ...FLAG_FIELDS,
  "osVersion",
  "address",
  "installed",
  "software",
];
/** Bounds the stack of parser and matcher. */
const DEPTH_MAX = 16;
const ANY_VERSION: VersionRange = [[]];

/** Throws INPUT_INVALID naming the place. */
export function parseInventoryQuery(text: string): InventoryQuery {
  const words = readWords(text);
  const query = parseAny(words, 1);
  const rest = words.peek();
  if (rest !== undefined) throw words.refuse(rest, `"and", "or" or the end of the query`);
  return query;
}

export function matchesInventory(query: InventoryQuery, facts: InventoryFacts): boolean {
  switch (query.kind) {
    case "all":
      return query.parts.every((part) => matchesInventory(part, facts));
    case "any":
      return query.parts.some((part) => matchesInventory(part, facts));
    case "not":
      return !matchesInventory(query.part, facts);
    case "text": {
      const known = facts[query.field]?.toLowerCase();
      return known !== undefined && query.values.some((value) => matchesText(known, value));
    }
    case "number": {
      const known = facts[query.field];
      return known !== undefined && holds(query.operator, known - query.value);
    }
    case "flag":
      return facts[query.field] === true;
    case "osVersion": {
      const { osVersion } = facts;
      if (osVersion === undefined) return false;
      return holds(query.operator, compareVersions("numbers", osVersion, query.value));
    }
    case "address": {
      const { address } = facts;
      return address !== undefined && query.cidrs.some((cidr) => isInCidr(address, cidr));
    }
    case "installed":
    case "software":
      return hasVersion(query, facts);
    default:
      return query satisfies never;
  }
}

function hasVersion(
  { kind, name, versions }: Extract<InventoryQuery, { readonly kind: "installed" | "software" }>,
  facts: InventoryFacts,
): boolean {
  if (kind === "software") {
    const wanted = name.toLowerCase();
    return facts.software.some(
      (found) =>
        matchesText(found.name.toLowerCase(), wanted) &&
        inVersionRange(versions, "numbers", found.version),
    );
  }
  return facts.installed.some(
    (found) =>
      found.name === name && inVersionRange(versions, found.scheme ?? "numbers", found.version),
  );
}

// `*` stands for any run of characters; matched without a regular expression made from input.
function matchesText(known: string, pattern: string): boolean {
  const [head = "", ...parts] = pattern.split("*");
  if (parts.length === 0) return known === head;
  if (!known.startsWith(head)) return false;
  const tail = parts.pop() ?? "";
  let at = head.length;
  for (const part of parts) {
    const found = known.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return known.length - at >= tail.length && known.endsWith(tail);
}

function holds(operator: Operator, order: number): boolean {
  switch (operator) {
    case "=":
      return order === 0;
    case "!=":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    default:
      return operator satisfies never;
  }
}

function parseAny(words: WordReader, depth: number): InventoryQuery {
  const parts = [parseAll(words, depth)];
  while (words.take("or")) parts.push(parseAll(words, depth));
  return onlyOr(parts, "any");
}

function parseAll(words: WordReader, depth: number): InventoryQuery {
  const parts = [parsePart(words, depth)];
  while (words.take("and")) parts.push(parsePart(words, depth));
  return onlyOr(parts, "all");
}

function onlyOr(parts: readonly InventoryQuery[], kind: "all" | "any"): InventoryQuery {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : { kind, parts };
}

function parsePart(words: WordReader, depth: number): InventoryQuery {
  if (depth > DEPTH_MAX) throw words.refuse(words.peek(), `at most ${DEPTH_MAX} levels`);
  if (words.take("not")) return { kind: "not", part: parsePart(words, depth + 1) };
  if (!words.take("(")) return parseComparison(words);
  const inner = parseAny(words, depth + 1);
  words.require(")");
  return inner;
}

function parseComparison(words: WordReader): InventoryQuery {
  const word = words.next("a field");
  const field = word.isQuoted ? "" : word.text.toLowerCase();
  const isNamed = (name: string): boolean => name.toLowerCase() === field;
  const text = TEXT_FIELDS.find(isNamed);
  if (text !== undefined) return textComparison(words, text);
  const number = NUMBER_FIELDS.find(isNamed);
  if (number !== undefined) return numberComparison(words, number);
  const flag = FLAG_FIELDS.find(isNamed);
  if (flag !== undefined) return { kind: "flag", field: flag };
  if (field === "osversion") {
    const operator = operatorOf(words);
    return { kind: "osVersion", operator, value: valueOf(words).text };
  }
  if (field === "address") return addressComparison(words);
  if (field === "installed" || field === "software") return versionComparison(words, field);
  throw words.refuse(word, `one of ${INVENTORY_FIELDS.join(", ")}`);
}

function textComparison(words: WordReader, field: TextField): InventoryQuery {
  const { values, isNegated } = listOf(words);
  const query = { kind: "text", field, values: values.map(lowerText) } as const;
  return isNegated ? knownAndNot(query) : query;
}

/** `site != berlin` asks for another site, not for none. */
function knownAndNot(
  query: Extract<InventoryQuery, { readonly kind: "text" | "address" }>,
): InventoryQuery {
  const known: InventoryQuery =
    query.kind === "text"
      ? { ...query, values: ["*"] }
      : { kind: "address", cidrs: [parseCidr("0.0.0.0/0"), parseCidr("::/0")] };
  return { kind: "all", parts: [known, { kind: "not", part: query }] };
}

function lowerText({ text }: Word): string {
  return text.toLowerCase();
}

function addressComparison(words: WordReader): InventoryQuery {
  const { values, isNegated } = listOf(words);
  const cidrs = values.map((word) => {
    try {
      return parseCidr(word.text);
    } catch {
      throw words.refuse(word, "an address or subnet, such as 10.1.0.0/16");
    }
  });
  const query = { kind: "address", cidrs } as const;
  return isNegated ? knownAndNot(query) : query;
}

/** `= value`, `!= value` or `in (value, value)`. */
function listOf(words: WordReader): { values: readonly Word[]; isNegated: boolean } {
  if (!words.take("in")) {
    const place = words.peek();
    const operator = operatorOf(words);
    if (operator !== "=" && operator !== "!=") throw words.refuse(place, `"=", "!=" or "in"`);
    return { values: [valueOf(words)], isNegated: operator === "!=" };
  }
  words.require("(");
  const values = [valueOf(words)];
  while (words.take(",")) values.push(valueOf(words));
  words.require(")");
  return { values, isNegated: false };
}

function numberComparison(words: WordReader, field: NumberField): InventoryQuery {
  const operator = operatorOf(words);
  const word = valueOf(words);
  if (!/^\d{1,15}$/u.test(word.text)) throw words.refuse(word, "a whole number");
  return { kind: "number", field, operator, value: Number(word.text) };
}

function versionComparison(words: WordReader, kind: "installed" | "software"): InventoryQuery {
  const { text: name } = valueOf(words);
  const place = words.peek();
  const operator = OPERATORS.find((sign) => words.take(sign));
  if (operator === undefined) return { kind, name, versions: ANY_VERSION };
  if (operator === "!=") throw words.refuse(place, `"=", "<", "<=", ">" or ">="`);
  const word = valueOf(words);
  try {
    return { kind, name, versions: parseVersionRange(`${operator}${word.text}`) };
  } catch {
    throw words.refuse(word, "a version, such as 1.2.3");
  }
}

function operatorOf(words: WordReader): Operator {
  const operator = OPERATORS.find((sign) => words.take(sign));
  if (operator === undefined) throw words.refuse(words.peek(), OPERATORS.join(" "));
  return operator;
}

function valueOf(words: WordReader): Word {
  const word = words.next("a value");
  if (!word.isQuoted && /^[<>=!(),]+$/u.test(word.text)) throw words.refuse(word, "a value");
  return word;
}
