/** A node without IO for tests of the reconcile step. */
import type { Instruction } from "../../../protocol/directive.ts";
import { holdText } from "../../../node/core/hold-text.ts";
import type { PowerNeed } from "../../../node/core/power.ts";
import type { ReconcileEffect } from "../../../node/core/reconcile-effect.ts";
import { initialState, step, type ReconcileEvent } from "../../../node/core/reconcile.ts";

export const REVISION = "aaaaaaaaaaaaaaaa";
export const wish = (job: string) => ({ job, revision: REVISION });

export function wanted(
  job: string,
  sequence: number,
  change: Partial<Instruction> = {},
): Instruction {
  return { job, purpose: "perform", revision: REVISION, sequence, attemptLimit: 1, ...change };
}

export const need = (kind: PowerNeed["kind"], job: string, isOrdered = false): PowerNeed => ({
  kind,
  job,
  timeoutMin: 20,
  isOrdered,
});

/** A node without IO: feeds events and keeps what they did. */
export class Play {
  state = initialState({ records: new Map(), retryBaseMs: 1000 });
  nowMs = 0;
  readonly effects: ReconcileEffect[] = [];

  send(...events: readonly ReconcileEvent[]): this {
    for (const event of events) {
      const next = step(this.state, event, this.nowMs);
      this.state = next.state;
      this.effects.push(...next.effects);
    }
    return this;
  }

  /** All content arrives. */
  fetchAll(): this {
    for (const { instruction } of this.state.entries) {
      this.send({ type: "fetched", wish: wish(instruction.job) });
    }
    return this;
  }

  end(job: string, outcome: "success" | "failed" = "success", power?: PowerNeed): this {
    const more = power === undefined ? {} : { power };
    return this.send({ type: "ended", wish: wish(job), outcome, ...more });
  }

  jobs(type: "execute" | "abort" | "expire"): readonly string[] {
    return this.effects.flatMap((one) => (one.type === type ? [one.wish.job] : []));
  }

  holdOf(job: string): string | undefined {
    const held = this.effects.findLast((one) => one.type === "hold" && one.wish.job === job);
    return held?.type === "hold" ? holdText(held.hold, (name) => name.toUpperCase()) : undefined;
  }

  powerOrders(): readonly string[] {
    return this.effects.flatMap((one) => (one.type === "power" ? [one.need.kind] : []));
  }
}

export function directed(...instructions: readonly Instruction[]): Play {
  return new Play().send({ type: "directive", instructions }).fetchAll();
}
