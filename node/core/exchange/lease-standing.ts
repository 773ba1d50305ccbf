/**
 * How long a token may be shown where the gate is not asked, at a plain HTTPS origin: only while the gate must
 * still hold the lease for this node. Counted from when a request was sent, so that no delay makes it longer.
 */
import type { Digest } from "../../../protocol/ids.ts";
import { LEASE_QUIET_MS } from "../../../protocol/lease.ts";

/** A fetch begins only with so much time left: the first word of it must reach the gate before the end. */
const BEGIN_MARGIN_MS = 1500;

export interface StandingLease {
  readonly manifest: Digest;
  readonly index: number;
  readonly digest: Digest;
  /** End of the token itself. */
  readonly endsMs: number;
}

interface Standing extends StandingLease {
  /** Until then the gate gives it to nobody else, whatever it hears. */
  readonly quietUntilMs: number;
}

export class LeaseStanding {
  private readonly leases = new Map<string, Standing>();

  granted(token: string, lease: StandingLease, sentMs: number): void {
    this.leases.set(token, { ...lease, quietUntilMs: sentMs + LEASE_QUIET_MS });
  }

  /** The gate answered at `nowMs` to a word of this node about a fragment of the package. */
  heard(manifest: Digest, sentMs: number, nowMs: number): void {
    for (const [token, lease] of this.leases) {
      // One that may have ended before the word arrived was not renewed by it.
      if (lease.manifest !== manifest || lease.quietUntilMs < nowMs) continue;
      const quietUntilMs = Math.max(lease.quietUntilMs, sentMs + LEASE_QUIET_MS);
      this.leases.set(token, { ...lease, quietUntilMs });
    }
  }

  /** A transfer of the coordinator's broke off: what is left of all leases is unknown. */
  lapse(manifest: Digest): void {
    for (const [token, lease] of this.leases) {
      if (lease.manifest === manifest) this.leases.set(token, { ...lease, quietUntilMs: 0 });
    }
  }

  /** What the token was granted for; undefined for a token that no lease came with. */
  find(token: string): StandingLease | undefined {
    return this.leases.get(token);
  }

  isInForce(token: string, nowMs: number): boolean {
    const lease = this.leases.get(token);
    return lease !== undefined && nowMs + BEGIN_MARGIN_MS <= lease.quietUntilMs;
  }

  ended(token: string): void {
    this.leases.delete(token);
  }

  forgetEnded(nowMs: number): void {
    for (const [token, { endsMs }] of this.leases) if (endsMs <= nowMs) this.leases.delete(token);
  }
}
