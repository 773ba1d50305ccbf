/** The documents are true: links lead somewhere, named files and commands exist. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { ROOT } from "./source-files.ts";

const documents = globSync("{*.md,*/*.md,*/*/README.md}", {
  cwd: ROOT,
  exclude: (path) => path.includes("node_modules"),
});
const packageJson = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

it("has the documents that people look for", () => {
  expect(documents).toEqual(
    expect.arrayContaining([
      "ARCHITECTURE.md",
      "CHANGELOG.md",
      "CONTRIBUTING.md",
      "README.md",
      "coordinator/README.md",
      "node/README.md",
      "protocol/README.md",
      "scripts/README.md",
      "test/README.md",
    ]),
  );
});

it.each(documents)("%s links only to what is there", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/gu)].map(([, target]) => target ?? "");

  const broken = links.filter((target) => !existsSync(join(ROOT, dirname(document), target)));

  expect(broken).toEqual([]);
});

it.each(documents)("%s names only files and folders that are there", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");
  const rooms = "protocol|coordinator|node|test|scripts";
  const named = [...text.matchAll(/`([a-z*./-]+)`/gu)]
    .map(([, path]) => path ?? "")
    .filter((path) => new RegExp(`^(?:${rooms})/[a-z./-]+$`, "u").test(path));

  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

it.each(documents)("%s names only npm scripts that exist", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");
  const named = [...text.matchAll(/npm run ([a-z:]+)/gu)].map(([, name]) => name ?? "");

  expect(named.filter((name) => packageJson.scripts[name] === undefined)).toEqual([]);
});

it("keeps the architecture short", () => {
  const lines = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").split("\n");

  expect(lines.length).toBeGreaterThan(40);
  expect(lines.length).toBeLessThan(200);
});
