/**
 * Saved contexts: coordinators by name, in one file that only its owner can read. A context keeps the
 * certificate that its pin proved, and where the operator token is, never the token itself.
 */
import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { parserOf, readJson } from "../../protocol/json.ts";

const closed = { additionalProperties: false } as const;
const CONTEXTS_MAX_BYTES = 1024 * 1024;
const ContextNameSchema = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" });

const SavedContextSchema = Type.Object(
  {
    name: ContextNameSchema,
    url: Type.String({ maxLength: 300 }),
    fleet: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    /** PEM; absent where the coordinator stands behind a proxy with a public certificate. */
    tlsCertificate: Type.Optional(Type.String({ maxLength: 8192 })),
    token: Type.Union([
      Type.Object({ kind: Type.Literal("file"), path: Type.String() }, closed),
      Type.Object({ kind: Type.Literal("variable"), name: Type.String() }, closed),
    ]),
  },
  closed,
);
export type SavedContext = Static<typeof SavedContextSchema>;

const SavedContextsSchema = Type.Object(
  {
    v: Type.Literal(1),
    current: Type.Optional(ContextNameSchema),
    contexts: Type.Array(SavedContextSchema, { maxItems: 100 }),
  },
  closed,
);
export type SavedContexts = Static<typeof SavedContextsSchema>;
const parseSavedContexts = parserOf("the file of saved contexts", SavedContextsSchema);

export function contextsPath(configDir: string): string {
  return join(configDir, "contexts.json");
}

/** No file is no contexts. */
export async function readContexts(configDir: string): Promise<SavedContexts> {
  const path = contextsPath(configDir);
  const text = await readOwnFile(path);
  if (text === undefined) return { v: 1, contexts: [] };
  return parseSavedContexts(readJson(`the file ${path}`, text, CONTEXTS_MAX_BYTES));
}

export async function writeContexts(configDir: string, contexts: SavedContexts): Promise<void> {
  const path = contextsPath(configDir);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await using file = await open(temporary, "w", 0o600);
    await file.writeFile(`${JSON.stringify(contexts, undefined, 2)}\n`);
    await file.sync();
    await chmod(temporary, 0o600);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw fileError("written", path, cause);
  }
}

/** The contexts with `added` in place of one of the same name; the first one becomes current. */
export function withContext(contexts: SavedContexts, added: SavedContext): SavedContexts {
  const others = contexts.contexts.filter((context) => context.name !== added.name);
  return {
    v: 1,
    current: contexts.current ?? added.name,
    contexts: [...others, added].sort((a, b) => a.name.localeCompare(b.name)),
  };
}

export function findContext(contexts: SavedContexts, name: string): SavedContext {
  const found = contexts.contexts.find((context) => context.name === name);
  if (found !== undefined) return found;
  const names = contexts.contexts.map((context) => context.name).join(", ");
  throw new DeployError("CLI_USAGE", {
    problem: `there is no saved context "${name.slice(0, 100)}"`,
    remedy: names === "" ? "Save one with `branchline context add`." : `Saved: ${names}.`,
  });
}

/** The text of a file, undefined where there is none, CLI_FILE for every other trouble. */
export async function readOwnFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw fileError("read", path, cause);
  }
}

/** The text of a file that must be there. */
export async function readNeededFile(path: string): Promise<string> {
  const text = await readOwnFile(path);
  if (text !== undefined) return text;
  throw new DeployError("CLI_FILE", { path, verb: "read", problem: PROBLEMS["ENOENT"] });
}

function fileError(verb: "read" | "written", path: string, cause: unknown): DeployError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const problem = PROBLEMS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new DeployError("CLI_FILE", { path, verb, problem }, { cause });
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission is denied",
  EPERM: "permission is denied",
  EISDIR: "it is a folder",
  ENOTDIR: "part of the path is not a folder",
  ENOSPC: "the disk is full",
  EROFS: "the disk is read-only",
};
