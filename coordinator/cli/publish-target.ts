/** The coordinator as a publisher uses it, over the operators' API; uploads survive a short outage. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { DeployError } from "../../protocol/errors.ts";
import type { PublishTarget } from "../publish/publish-package.ts";
import type { ApiClient } from "./api-client.ts";

/** Six tries in 15 s bridge a restart of the coordinator; a longer one is for the publisher to see. */
const RETRY_DELAYS_MS = [500, 1000, 2000, 4000, 8000];

export function publishTarget(client: ApiClient): PublishTarget {
  return {
    missing: (digests, signal) => retried(signal, () => client.missing(digests, signal)),
    putFragment: async (digest, filePath, signal) => {
      // At most FRAGMENT_WIRE_MAX_BYTES, and few at a time.
      const bytes = await readFile(filePath, { signal });
      await retried(signal, () => client.putFragment(digest, bytes, signal));
    },
    publishing: (targetPath, signal) =>
      retried(signal, () => client.publishing(targetPath, signal)),
    addPackage: async (input, signal) => {
      try {
        return await client.addPackage(input, signal);
      } catch (cause) {
        // The caller signs again over the new catalog when it sees this code.
        const isConflict =
          cause instanceof DeployError && cause.details["apiCode"] === "PUBLISH_CONFLICT";
        if (!isConflict) throw cause;
        throw new DeployError("PUBLISH_CONFLICT", { what: input.bin }, { cause });
      }
    },
  };
}

async function retried<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DeployError) || !mayPass(error)) throw error;
      await delay(delayMs, undefined, { signal });
    }
  }
  return call();
}

function mayPass(error: DeployError): boolean {
  const { status } = error.details;
  return error.code === "CLI_UNREACHABLE" || status === 429 || status === 503;
}
