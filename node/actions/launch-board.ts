/** Launches under way on this endpoint: their jobs, and whoever waits for them. */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import { launchStep, type LaunchStep } from "./local-launch.ts";

export interface LaunchEnd {
  readonly steps: readonly LaunchStep[];
  /** Set: it did not come to its end. */
  readonly problem?: string;
}

interface LaunchWait {
  readonly order: VerifiedInstruction;
  readonly end: PromiseWithResolvers<string>;
}

export class LaunchBoard {
  /** By job. */
  readonly #waits = new Map<string, LaunchWait>();

  get orders(): readonly VerifiedInstruction[] {
    return [...this.#waits.values()].map(({ order }) => order);
  }

  /** Throws LAUNCH_REFUSED where one of the jobs is under way already. */
  begin(orders: readonly VerifiedInstruction[]): void {
    const taken = orders.find(({ instruction }) => this.#waits.has(instruction.job));
    if (taken !== undefined) throw refused(taken, "a launch of it is under way");
    for (const order of orders) {
      const end = Promise.withResolvers<string>();
      // Those after a failure are never waited for.
      end.promise.catch(() => undefined);
      this.#waits.set(order.instruction.job, { order, end });
    }
  }

  /** A job of a launch ended; with a problem: without success, or it cannot go on while somebody waits. */
  ended(job: string, outcome: string, problem?: string): void {
    const wait = this.#waits.get(job);
    if (problem === undefined) wait?.end.resolve(outcome);
    else wait?.end.reject(refused(wait.order, problem));
  }

  /** In order, up to the first that fails. Rejects with the signal's reason. */
  async steps(orders: readonly VerifiedInstruction[], signal: AbortSignal): Promise<LaunchEnd> {
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const steps: LaunchStep[] = [];
    try {
      for (const order of orders) {
        const end = this.#waits.get(order.instruction.job)?.end.promise;
        const outcome = await Promise.race([end, aborted.promise]);
        steps.push(launchStep(order, outcome ?? "unknown"));
      }
      return { steps };
    } catch (error) {
      if (!(error instanceof DeployError)) throw error;
      return { steps, problem: error.message };
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  close(orders: readonly VerifiedInstruction[]): void {
    for (const { instruction } of orders) this.#waits.delete(instruction.job);
  }
}

function refused({ ref }: VerifiedInstruction, problem: string): DeployError {
  return new DeployError("LAUNCH_REFUSED", { package: packageRefText(ref), problem });
}
