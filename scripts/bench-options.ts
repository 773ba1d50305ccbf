/**
 * What every program of scripts/bench/ is started with, and the check before those that build their offices
 * out of network namespaces. Outside that folder, since each of its files is the name of a bench.
 */
import { labRefusal } from "../test/support/lab.ts";

export interface BenchOptions {
  readonly isJson: boolean;
  /** What stands behind the name, without --json. */
  readonly args: readonly string[];
}

export async function requireLab(): Promise<void> {
  const refusal = await labRefusal();
  if (refusal !== undefined) {
    throw new Error(`this measurement needs network namespaces: ${refusal}`);
  }
}
