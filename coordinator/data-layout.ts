/**
 * Where things lie in a coordinator's data folder.
 */
import { open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { DeployError } from "../protocol/errors.ts";

export interface DataLayout {
  readonly store: string;
  readonly fragments: string;
  readonly manifests: string;
  readonly keys: string;
  readonly onlineKeys: string;
  readonly fleet: string;
  readonly operator: string;
}

export function dataLayout(dataDir: string): DataLayout {
  const keys = path.join(dataDir, "keys");
  return {
    store: path.join(dataDir, "store"),
    fragments: path.join(dataDir, "fragments"),
    manifests: path.join(dataDir, "manifests"),
    keys,
    onlineKeys: path.join(keys, "online.json"),
    fleet: path.join(dataDir, "fleet.json"),
    operator: path.join(dataDir, "operator.json"),
  };
}

/** Whole or not at all: temporary name, fsync, rename. */
export async function writePrivateFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  {
    await using handle = await open(temporary, "w", 0o600);
    await handle.writeFile(text);
    await handle.sync();
  }
  await rename(temporary, file);
}

/** Throws NOT_INITIALISED where the file is not there. */
export async function readInitialised(dataDir: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") {
      throw new DeployError("NOT_INITIALISED", { folder: dataDir }, { cause });
    }
    throw cause;
  }
}
