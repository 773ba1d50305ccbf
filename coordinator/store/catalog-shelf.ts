/**
 * The catalog's signed files: in memory for answers, in the store for the next start. One writer at a time.
 */
import { createHash } from "node:crypto";
import { timestampOf } from "../trust/catalog-head.ts";
import { offlineExpiryMs } from "../trust/catalog-renewal.ts";
import type { MetadataFiles } from "../../protocol/check-in.ts";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import { DeployError } from "../../protocol/errors.ts";
import { setRecord, type RecordChange, type Records } from "./records.ts";
import { TABLES } from "./tables.ts";

export interface CatalogShelf {
  files(): MetadataFiles;
  /** Version of timestamp.json, which changes with everything else. */
  version(): number;
  digest(): Digest;
  /** When the first of the offline-signed files expires. */
  offlineExpiryMs(): number;
  /** `decide` gets the newest files; what it returns is stored with `changes` in one commit. */
  replace<R>(
    decide: (files: MetadataFiles) => {
      readonly files: MetadataFiles;
      readonly changes: readonly RecordChange[];
      readonly result: R;
    },
  ): Promise<R>;
}

export function catalogChanges(files: MetadataFiles): readonly RecordChange[] {
  return Object.entries(files).map(([name, text]) => setRecord(TABLES.catalog, name, { text }));
}

export function openCatalogShelf(records: Records): CatalogShelf {
  let files = Object.fromEntries(
    records.below(TABLES.catalog, "").map(([name, { text }]) => [name, text]),
  );
  let head = headOf(files);
  let expiry: { readonly files: MetadataFiles; readonly atMs: number } | undefined;
  return {
    files: () => files,
    version: () => head.version,
    digest: () => head.digest,
    offlineExpiryMs: () => {
      if (expiry?.files !== files) expiry = { files, atMs: offlineExpiryMs(files) };
      return expiry.atMs;
    },
    replace: async (decide) => {
      const done = await records.change(() => {
        const decided = decide(files);
        const changed = Object.entries(decided.files).filter(
          ([name, text]) => files[name] !== text,
        );
        const changes = [...catalogChanges(Object.fromEntries(changed)), ...decided.changes];
        return { changes, result: decided };
      });
      files = done.files;
      head = headOf(files);
      return done.result;
    },
  };
}

function headOf(files: MetadataFiles): { readonly version: number; readonly digest: Digest } {
  const text = files["timestamp.json"];
  if (text === undefined) {
    throw new DeployError("STORE_DAMAGED", {
      key: "catalog/timestamp.json",
      problem: "it is gone",
    });
  }
  return { version: timestampOf(files).version, digest: digestOf(text) };
}

export function digestOf(bytes: string | Uint8Array): Digest {
  return parseDigest(createHash("sha256").update(bytes).digest("hex"));
}
