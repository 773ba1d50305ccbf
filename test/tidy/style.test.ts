/** House rules that neither the compiler nor the linter checks. */
import { parseSync, Visitor } from "oxc-parser";
import { expect, it } from "vitest";
import { ERRORS } from "../../protocol/errors.ts";
import { sourceFiles, type SourceFile } from "./source-files.ts";

const LINE_LIMIT = 400;
const BANNED_NAMES =
  /(?:^|-)(?:utils?|helpers?|common|managers?|base|impl|misc|shared|stuff)[-.]|^index\./u;
/** A table of one entry per error, not code to read from top to bottom. */
const LONG_TABLES = ["protocol/errors.ts"];
const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|config|contract))?\.ts$/u;

/** One rule: the sentence that names it, and what it finds in a file. */
interface Rule {
  readonly sentence: string;
  readonly find: (file: SourceFile) => readonly string[];
  /** A file that breaks the rule, so that the rule itself is tested. */
  readonly canary: SourceFile;
}

const RULES: readonly Rule[] = [
  {
    sentence: `a file has at most ${LINE_LIMIT} lines`,
    find: ({ path, text }) => {
      const count = text.trimEnd().split("\n").length;
      return count > LINE_LIMIT && !LONG_TABLES.includes(path) ? [`${count} lines`] : [];
    },
    canary: { path: "node/a.ts", text: "//\n".repeat(LINE_LIMIT + 1) },
  },
  {
    sentence: "a file is named after what it does, in kebab case",
    find: ({ path }) => {
      const name = path.split("/").at(-1) ?? "";
      return BANNED_NAMES.test(name) || !KEBAB_CASE.test(name) ? [name] : [];
    },
    canary: { path: "node/string-utils.ts", text: "" },
  },
  {
    sentence: "a TODO carries an issue number",
    find: ({ path, text }) =>
      isTidy(path) ? [] : linesWith(text, /\b(?:TODO|FIXME|XXX)\b(?!.*#\d+)/u),
    canary: { path: "node/a.ts", text: ["// TO", "DO: later"].join("") },
  },
  {
    sentence: "no test is focused",
    find: ({ path, text }) =>
      isTest(path) ? linesWith(text, /\b(?:it|test|describe)\.only\b/u) : [],
    canary: { path: "test/unit/a.test.ts", text: ["it", 'only("a", () => {});'].join(".") },
  },
  {
    sentence: "a skipped test has a condition, or says why in the comment above it",
    find: ({ path, text }) => (isTest(path) && !isTidy(path) ? silentSkips(text) : []),
    canary: { path: "test/unit/a.test.ts", text: ["it", 'skip("a", () => {});'].join(".") },
  },
  {
    sentence: "no decorators: Node cannot strip them",
    find: decorators,
    canary: { path: "node/a.ts", text: "class A { @log run() {} }" },
  },
  {
    sentence: "a file says in a head comment what it is for",
    find: ({ path, text }) =>
      isTest(path) || text.startsWith("/**") ? [] : [text.split("\n")[0] ?? ""],
    canary: { path: "node/a.ts", text: "export const a = 1;" },
  },
];

it.each(RULES)("holds everywhere: $sentence", ({ find }) => {
  const files = sourceFiles();

  const found = files.flatMap((file) => find(file).map((place) => `${file.path}: ${place}`));

  expect(files.length).toBeGreaterThan(30);
  expect(found).toEqual([]);
});

it.each(RULES)("would be noticed: $sentence", ({ find, canary }) => {
  expect(find(canary)).not.toEqual([]);
});

it("uses every error code somewhere", () => {
  const product = sourceFiles().filter(({ path }) =>
    /^(?:protocol|coordinator|node)\//u.test(path),
  );
  const texts = product.filter(({ path }) => path !== "protocol/errors.ts").map(({ text }) => text);

  const unused = Object.keys(ERRORS).filter(
    (code) => !texts.some((text) => text.includes(`"${code}"`)),
  );

  expect(unused).toEqual([]);
});

function isTest(path: string): boolean {
  return path.endsWith(".test.ts");
}

// These tests write down what they look for.
function isTidy(path: string): boolean {
  return path.startsWith("test/tidy/");
}

function linesWith(text: string, pattern: RegExp): readonly string[] {
  return text.split("\n").filter((line) => pattern.test(line));
}

function silentSkips(text: string): readonly string[] {
  const lines = text.split("\n");
  return lines.filter(
    (line, index) =>
      /\b(?:it|test|describe)\.(?:skip|todo)\b/u.test(line) &&
      !/^\s*(?:\/\/|\*\/)/u.test(lines[index - 1] ?? ""),
  );
}

function decorators({ path, text }: SourceFile): readonly string[] {
  const found: string[] = [];
  const visitor = new Visitor({
    Decorator: ({ start, end }) => void found.push(text.slice(start, end)),
  });
  visitor.visit(parseSync(path, text).program);
  return found;
}
