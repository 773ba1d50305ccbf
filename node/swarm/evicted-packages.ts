/** What left the fragment store on purpose is offered to nobody any more. */
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { Origin } from "../content/ports.ts";
import type { PackageSwarm } from "./package-swarm.ts";

const TELL_TIMEOUT_MS = 10_000;

export type GoneDigests = ReadonlySet<Digest>;

export interface EvictionPorts {
  readonly leave: (swarm: PackageSwarm) => Promise<void>;
  readonly origin: Origin;
}

/**
 * A package that is being fetched gets them again. The others are left: a package that nobody here needs,
 * and that is no longer whole, is of little use to the site. The gate hears of it, or whoever needs a
 * fragment later would be sent here for it first.
 */
export async function leaveEvicted(
  packages: Iterable<PackageSwarm>,
  gone: GoneDigests,
  ports: EvictionPorts,
): Promise<void> {
  for (const swarm of [...packages].filter((one) => holdsAny(one, gone))) {
    if (swarm.isFetching) {
      swarm.missVanished();
      continue;
    }
    await ports.leave(swarm);
    await tellGate(swarm, ports.origin);
  }
}

function holdsAny({ catalog, have }: PackageSwarm, gone: GoneDigests): boolean {
  return catalog.known.some(({ index, digest }) => gone.has(digest) && have.has(index));
}

async function tellGate({ item }: PackageSwarm, origin: Origin): Promise<void> {
  const request = { manifest: item.manifestDigest, want: [], release: [], isGone: true };
  try {
    await origin.lease(request, AbortSignal.timeout(TELL_TIMEOUT_MS));
  } catch (error) {
    // Without it the next one to ask waits a little and says why it must have the fragment.
    if (!(error instanceof DeployError) && !isTimeout(error)) throw error;
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
