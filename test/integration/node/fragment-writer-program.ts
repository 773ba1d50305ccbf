/** A fragment store that writes until it is killed: `node fragment-writer-program.ts FOLDER SEED`. */
import { createHash } from "node:crypto";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { digestOf } from "../../support/memory-content.ts";

const [, , folder = "", seed = ""] = process.argv;
const store = await FolderFragmentStore.open(folder, {
  onCorrupt: (digest) => process.stdout.write(`corrupt ${digest}\n`),
});
process.stdout.write(`held ${store.cache.entries.size}\n`);
for (let at = 0; ; at++) {
  const block = createHash("sha512").update(`${seed}/${at}`).digest();
  const bytes = Buffer.alloc(100_000, block);
  await store.write(digestOf(bytes), bytes);
  if (at % 7 === 3) await store.delete(digestOf(bytes));
  process.stdout.write(`wrote ${digestOf(bytes)}\n`);
}
