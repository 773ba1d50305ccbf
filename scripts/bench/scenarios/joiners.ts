/** Many endpoints behind one address that join at once: `joiners.ts URL TOKEN COUNT HOST FOLDER`. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openIdentity } from "../../../node/uplink/identity.ts";
import { joinFleet } from "../../../node/uplink/join.ts";

const PATIENCE_MS = 60_000;
const [coordinatorUrl = "", joinToken = "", count = "", localAddress = "", folder = ""] =
  process.argv.slice(2);

async function joined(at: number): Promise<boolean> {
  const name = `crowd-${at}`;
  const dataDir = join(folder, name);
  await mkdir(dataDir, { recursive: true });
  const identity = await openIdentity(dataDir);
  const answer = joinFleet({
    dataDir,
    coordinatorUrl,
    joinToken,
    identity,
    name,
    localAddress,
    nowMs: Date.now(),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return answer.then(
    () => true,
    (error: unknown) => {
      console.error(`${name}: ${String(error)}`);
      return false;
    },
  );
}

const begin = performance.now();
const results = await Promise.all(
  Array.from({ length: Number(count) }, async (_none, at) => joined(at)),
);
const seconds = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ lost: results.filter((isJoined) => !isJoined).length, seconds }));
