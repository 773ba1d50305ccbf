/** The import matrix: which room may not know which, and why. This table is the law. */
import { posix } from "node:path";
import { parseSync } from "oxc-parser";
import { expect, it } from "vitest";
import { sourceFiles, type SourceFile } from "./source-files.ts";

/** `ban` is matched against a path of ours, `npm:package` or `node:module`. */
interface Ban {
  readonly rooms: RegExp;
  readonly except?: RegExp;
  readonly ban: RegExp;
  readonly reason: string;
}

const PRODUCT = /^(?:protocol|coordinator|node)\//u;

const BANS: readonly Ban[] = [
  {
    rooms: /^coordinator\//u,
    ban: /^node\//u,
    reason: "the two programs meet in protocol/ only",
  },
  {
    rooms: /^node\//u,
    ban: /^coordinator\//u,
    reason: "the two programs meet in protocol/ only",
  },
  {
    rooms: PRODUCT,
    ban: /^(?:test|scripts)\//u,
    reason: "the product does not depend on its workshop",
  },
  {
    rooms: /^protocol\//u,
    ban: /^(?:coordinator|node)\//u,
    reason: "the shared language knows no program",
  },
  {
    rooms: /^protocol\//u,
    except: /^protocol\/(?:dsse|join-token|lease|bytes|exchange|packed-body|trust\/[a-z-]+)\.ts$/u,
    ban: /^node:/u,
    reason:
      "documents need no platform; only files that sign, hash or pack take node:crypto or node:zlib",
  },
  {
    rooms: /^protocol\//u,
    ban: /^node:(?!crypto$|buffer$|zlib$)/u,
    reason: "protocol/ does no IO",
  },
  {
    rooms: /^coordinator\/core\//u,
    ban: /^coordinator\/(?!core\/)/u,
    reason: "decisions import protocol/ and their own core only",
  },
  {
    rooms: /^node\/core\//u,
    ban: /^node\/(?!core\/)/u,
    reason: "decisions import protocol/ and their own core only",
  },
  {
    rooms: /^(?:coordinator|node)\/core\//u,
    ban: /^node:(?!crypto$|buffer$)/u,
    reason: "decisions do no IO",
  },
  {
    rooms: PRODUCT,
    except: /^node\/swarm\//u,
    ban: /^npm:(?:libp2p|@libp2p\/.+|@chainsafe\/libp2p-.+|@multiformats\/.+|uint8arraylist)$/u,
    reason: "only node/swarm knows the peer-to-peer library",
  },
  {
    rooms: /^(?:protocol|node|coordinator\/(?!publish\/))/u,
    ban: /^npm:(?:tar|yauzl|yazl|adm-zip)$/u,
    reason: "archives are opened by the publisher's side and nowhere else",
  },
  {
    rooms: /^(?:protocol|node)\//u,
    ban: /^npm:(?:fastify|@fastify\/.+|commander)$/u,
    reason: "HTTP serving and the command line belong to the coordinator's side",
  },
  {
    rooms: /^(?:protocol|coordinator)\//u,
    ban: /^npm:tuf-js$/u,
    reason: "only a node verifies metadata as a client",
  },
  {
    rooms: PRODUCT,
    ban: /^npm:(?:vitest|fast-check|oxc-parser|typescript)$/u,
    reason: "development packages are not there in production",
  },
];

/** Every module that a file names: imports, type imports, re-exports and dynamic imports. */
function importsOf(file: SourceFile): readonly string[] {
  const { module } = parseSync(file.path, file.text);
  const requests = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.map(({ moduleRequest }) => moduleRequest?.value),
    ),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) =>
      file.text.slice(start, end).replaceAll(/["'`]/gu, ""),
    ),
  ];
  return requests
    .filter((request) => request !== undefined)
    .map((request) => resolved(file.path, request));
}

function resolved(from: string, request: string): string {
  if (request.startsWith(".")) return posix.join(posix.dirname(from), request);
  if (request.startsWith("node:")) return request;
  const [scope = "", name = ""] = request.split("/");
  return `npm:${scope.startsWith("@") ? `${scope}/${name}` : scope}`;
}

function violations(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) =>
    BANS.filter(({ rooms, except }) => rooms.test(file.path) && except?.test(file.path) !== true)
      .flatMap(({ ban, reason }) => importsOf(file).map((request) => ({ request, ban, reason })))
      .filter(({ request, ban }) => ban.test(request))
      .map(({ request, reason }) => `${file.path} imports ${request}: ${reason}`),
  );
}

it("keeps every room within its imports", () => {
  const files = sourceFiles().filter(({ path }) => PRODUCT.test(path));

  expect(files.length).toBeGreaterThan(15);
  expect(files.flatMap(importsOf).length).toBeGreaterThan(30);
  expect(violations(files)).toEqual([]);
});

it.each([
  ["coordinator/core/a.ts", 'import { x } from "../store/y.ts";'],
  ["coordinator/a.ts", 'import type { X } from "../node/core/y.ts";'],
  ["node/a.ts", 'export { x } from "../coordinator/y.ts";'],
  ["node/a.ts", 'export * from "../coordinator/y.ts";'],
  ["node/uplink/a.ts", 'await import("libp2p");'],
  ["node/core/a.ts", 'import { readFile } from "node:fs/promises";'],
  ["protocol/a.ts", 'import "node:net";'],
  ["node/actions/a.ts", 'import { Parser } from "tar";'],
  ["protocol/a.ts", 'import { x } from "../scripts/y.ts";'],
])("notices a forbidden import in %s: %s", (path, text) => {
  const found = violations([{ path, text }]);

  expect(found).not.toEqual([]);
});
