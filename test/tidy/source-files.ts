/** The project's own files, for the tests that read code as text. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");
const ROOMS = ["protocol", "coordinator", "node", "scripts", "test"];

export interface SourceFile {
  /** Relative to the project, `/` between segments. */
  readonly path: string;
  readonly text: string;
}

export function sourceFiles(): readonly SourceFile[] {
  return ROOMS.flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .toSorted()
      .map((name) => `${room}/${name.replaceAll("\\", "/")}`)
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") })),
  );
}
