/**
 * Which behaviours of the acceptance list are proved, and by which tests: reads the titles of all tests
 * and looks for the ids of test/acceptance/ids.json. `--release 0.1` fails while one that
 * the release promises is not.
 */
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { parseSync, Visitor, type CallExpression, type Expression } from "oxc-parser";
import { Type, type Static } from "typebox";
import { parserOf } from "../protocol/json.ts";

const ROOT = join(import.meta.dirname, "..");
const ID_PATTERN = /\b(?:(?:SE|MYP|ZEN|OCO|OCS|BR)-\d+|D\d{1,2})\b/gu;

const EntrySchema = Type.Object(
  {
    id: Type.String({ pattern: "^[A-Z]+-?[0-9]+$" }),
    title: Type.String({ minLength: 5 }),
    /** The release that promises it; absent for a later one. */
    release: Type.Optional(Type.String({ pattern: "^[0-9]+\\.[0-9]+$" })),
  },
  { additionalProperties: false },
);
type Entry = Static<typeof EntrySchema>;
const parseEntries = parserOf("the acceptance list", Type.Array(EntrySchema, { minItems: 1 }));

export interface TestTitle {
  readonly file: string;
  readonly title: string;
}

interface Coverage {
  readonly entries: readonly (Entry & { readonly tests: readonly TestTitle[] })[];
  /** Titles that name an id which is not on the list. */
  readonly unknown: readonly (TestTitle & { readonly id: string })[];
}

export async function readAcceptanceList(): Promise<readonly Entry[]> {
  const text = await readFile(join(ROOT, "test/acceptance/ids.json"), "utf8");
  const value: unknown = JSON.parse(text);
  return parseEntries(value);
}

/** Titles of all tests below test/, as they are written: a placeholder stays a gap. */
export async function readTestTitles(): Promise<readonly TestTitle[]> {
  const names = await readdir(join(ROOT, "test"), { recursive: true });
  const files = names.filter((name) => name.endsWith(".test.ts")).toSorted();
  const titles: TestTitle[] = [];
  for (const name of files) {
    const path = join(ROOT, "test", name);
    const file = relative(ROOT, path);
    const source = await readFile(path, "utf8");
    titles.push(...titlesIn(file, source).map((title) => ({ file, title })));
  }
  return titles;
}

/** First arguments of `it(…)` and `test(…)`, also behind `.skipIf(…)`, `.each(…)` and the like. */
export function titlesIn(file: string, source: string): readonly string[] {
  const titles: string[] = [];
  const visitor = new Visitor({
    CallExpression(call: CallExpression) {
      const first = call.arguments[0];
      if (!["it", "test"].includes(rootName(call.callee)) || first === undefined) return;
      if (first.type === "Literal" && typeof first.value === "string") titles.push(first.value);
      if (first.type === "TemplateLiteral") {
        titles.push(first.quasis.map((quasi) => quasi.value.cooked ?? "").join("…"));
      }
    },
  });
  visitor.visit(parseSync(file, source).program);
  return titles;
}

export function coverageOf(entries: readonly Entry[], titles: readonly TestTitle[]): Coverage {
  const known = new Set(entries.map(({ id }) => id));
  const named = titles.flatMap((test) => idsIn(test.title).map((id) => ({ ...test, id })));
  return {
    entries: entries.map((entry) => ({
      ...entry,
      tests: named.filter(({ id }) => id === entry.id).map(({ file, title }) => ({ file, title })),
    })),
    unknown: named.filter(({ id }) => !known.has(id)),
  };
}

function idsIn(title: string): readonly string[] {
  return [...new Set(title.match(ID_PATTERN))];
}

function rootName(callee: Expression): string {
  if (callee.type === "Identifier") return callee.name;
  if (callee.type === "MemberExpression") return rootName(callee.object);
  if (callee.type === "CallExpression") return rootName(callee.callee);
  return "";
}

function printTable(coverage: Coverage, release: string | undefined): void {
  const shown = coverage.entries.filter(
    (entry) => release === undefined || entry.release === release,
  );
  for (const { id, title, tests } of shown) {
    console.log(`${tests.length > 0 ? "proved" : "open  "} ${id.padEnd(7)} ${title}`);
    for (const test of tests) console.log(`         ${test.file}: ${test.title}`);
  }
  const proved = shown.filter(({ tests }) => tests.length > 0).length;
  console.log(`${proved} of ${shown.length} proved`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: "boolean", default: false }, release: { type: "string" } },
  });
  const { release } = values;
  if (release !== undefined && !/^[0-9]+\.[0-9]+$/u.test(release)) {
    console.error(`error: --release needs a number such as 0.1, not "${release}"`);
    return 2;
  }
  const coverage = coverageOf(await readAcceptanceList(), await readTestTitles());
  if (values.json) console.log(JSON.stringify(coverage, undefined, 2));
  else printTable(coverage, release);
  for (const { id, file, title } of coverage.unknown) {
    console.error(`error: ${file} names ${id}, which is not on the list: "${title}"`);
  }
  const open = coverage.entries.filter(
    (entry) => release !== undefined && entry.release === release && entry.tests.length === 0,
  );
  for (const { id } of open) console.error(`error: no test names ${id}, promised for ${release}`);
  return coverage.unknown.length + open.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
