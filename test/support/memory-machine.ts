/** A computer in memory: its facts, its software and its power button are the test's. */
import type { Machine } from "../../node/actions/job-parts.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { DetectedSoftware } from "../../protocol/report.ts";

export class MemoryMachine implements Machine {
  boot = "boot-1";
  isUsed = false;
  memoryBytes = 8 * 2 ** 30;
  installed: DetectedSoftware[] = [];
  /** What the system was told: kind and minutes. */
  readonly orders: (readonly [string, number])[] = [];
  agentRestarts = 0;
  /** The command of the system does not work. */
  isBroken = false;
  readonly #told = Promise.withResolvers<void>();

  /** Resolves when the system, or the agent, is told to start anew. */
  async told(): Promise<void> {
    return this.#told.promise;
  }

  async bootMark(): Promise<string> {
    return this.boot;
  }

  async hasUser(): Promise<boolean> {
    return this.isUsed;
  }

  async facts() {
    const inventory = {
      name: "pc",
      role: "agent",
      os: "linux",
      osName: "Debian GNU/Linux",
      osVersion: "12",
      arch: "x64",
      memoryMb: Math.floor(this.memoryBytes / 2 ** 20),
      freeDiskGb: 100,
      isServer: false,
      hasUser: this.isUsed,
    };
    return { inventory, memoryBytes: this.memoryBytes, freeDiskBytes: 100e9 };
  }

  async software(): Promise<readonly DetectedSoftware[]> {
    return this.installed;
  }

  async power(kind: "restart" | "shutdown", delayMin: number): Promise<void> {
    if (this.isBroken) {
      throw new DeployError("POWER_COMMAND_FAILED", { kind, problem: "there is no shutdown" });
    }
    this.orders.push([kind, delayMin]);
    this.#told.resolve();
  }

  restartAgent(): void {
    this.agentRestarts += 1;
    this.#told.resolve();
  }
}
