/**
 * The ports of one package behind this node's manners: rates, the account of what was of no use, and the
 * budget that ends a fetch which moves far more than the package (node/core/fetch-budget.ts).
 */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, type EndpointId, type SwarmTag } from "../../protocol/ids.ts";
import type { ExchangeManners, Origin, SwarmItem } from "../content/ports.ts";
import { FetchBudget } from "../core/fetch-budget.ts";
import { WIRED_SLOTS } from "../core/peer-eligibility.ts";
import type { PackagePorts } from "./package-swarm.ts";

export const NO_LIMITS: ExchangeManners = {
  uploadSlots: WIRED_SLOTS,
  upload: async () => undefined,
  download: async () => undefined,
  wasted: () => undefined,
};

/** What this node has a lease for, or had: it hands that on even where it serves nobody else. */
export class OwedFragments {
  private readonly owed = new Map<SwarmTag, Set<number>>();

  add(swarm: SwarmTag, index: number): void {
    const indices = this.owed.get(swarm) ?? new Set();
    this.owed.set(swarm, indices.add(index));
  }

  has({ swarm, index }: { readonly swarm: SwarmTag; readonly index: number }): boolean {
    return this.owed.get(swarm)?.has(index) ?? false;
  }
}

export interface GuardSettings {
  readonly manners: ExchangeManners;
  readonly owed: OwedFragments;
  /** Whether the fragment is here by now. */
  readonly isHere: (index: number) => boolean;
}

export function guardedPorts(
  item: SwarmItem,
  ports: PackagePorts,
  settings: GuardSettings,
): PackagePorts {
  const { manners, isHere } = settings;
  const budget = new FetchBudget(item.manifest.content?.wireBytes ?? 0);
  const usualBytes = usualFragmentBytes(item);
  /** Of the last answer of each peer, for the account of bad ones. */
  const lastBytes = new Map<EndpointId, number>();

  function spend(sizeBytes: number): void {
    if (!budget.spend(sizeBytes)) return;
    const { limitBytes } = budget;
    const { name, version } = item.manifest;
    throw new DeployError("EXCHANGE_OVER_BUDGET", {
      package: packageRefText({ name, version }),
      limitBytes,
    });
  }

  return {
    ...ports,
    origin: guardedOrigin(ports.origin, item.swarm, settings.owed),
    ask: async (peer, index) => {
      await manners.download(usualBytes);
      // Came from elsewhere while this request waited for its turn.
      if (isHere(index)) return { kind: "busy" };
      const answer = await ports.ask(peer, index);
      if (answer.kind !== "ok") return answer;
      const sizeBytes = answer.bytes.length;
      lastBytes.set(peer, sizeBytes);
      if (isHere(index)) manners.wasted("duplicate", sizeBytes);
      spend(sizeBytes);
      return answer;
    },
    onRefusal: (refusal) => {
      const { code, accused } = refusal;
      if (code === "EXCHANGE_FRAGMENT_CORRUPT" && accused !== undefined) {
        manners.wasted("corrupt", lastBytes.get(accused) ?? 0);
      }
      ports.onRefusal(refusal);
    },
  };
}

function guardedOrigin(origin: Origin, swarm: SwarmTag, owed: OwedFragments): Origin {
  return {
    fragment: async (digest, token, signal) => origin.fragment(digest, token, signal),
    hasBegun: (digest) => origin.hasBegun?.(digest) ?? false,
    lease: async (request, signal) => {
      const answer = await origin.lease(request, signal);
      for (const { index } of answer.grants) owed.add(swarm, index);
      return answer;
    },
  };
}

function usualFragmentBytes({ manifest: { content } }: SwarmItem): number {
  return content === undefined ? 0 : content.wireBytes / Math.max(1, content.fragmentCount);
}
