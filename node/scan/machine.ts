/** The real computer under a node: facts, scan, and the commands that restart it. */
import { totalmem } from "node:os";
import type { Logger } from "pino";
import type { Machine } from "../actions/job-parts.ts";
import { runPowerCommand } from "../actions/power-command.ts";
import { bootId } from "../actions/process-table.ts";
import { freeDiskBytes, hasUser, readSystemFacts } from "../uplink/system-facts.ts";
import { SoftwareScan, softwareSources } from "./software-scan.ts";

export interface MachineSettings {
  readonly dataDir: string;
  readonly name: string;
  readonly role: () => "agent" | "dp";
  readonly powerCommand: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly restartAgent: () => void;
  readonly log: Logger;
}

export function openMachine(settings: MachineSettings): Machine {
  const { dataDir, environment, log } = settings;
  const scan = new SoftwareScan(softwareSources(process.platform), environment, log);
  return {
    bootMark: async () => bootMarkOf(await bootId(), async () => readSystemFacts(dataDir)),
    hasUser: async () => hasUser(),
    facts: async () => {
      const { osName, osVersion, isServer, freeDiskGb, ...rest } = await readSystemFacts(dataDir);
      const inventory = {
        name: settings.name,
        role: settings.role(),
        os: process.platform,
        osName,
        osVersion,
        arch: process.arch,
        memoryMb: Math.floor(rest.memoryBytes / 2 ** 20),
        freeDiskGb,
        isServer,
        hasUser: rest.hasUser,
      };
      const free = await freeDiskBytes(dataDir);
      return { inventory, memoryBytes: totalmem(), freeDiskBytes: free };
    },
    software: async (signal) => scan.read(signal),
    power: async (kind, delayMin) =>
      runPowerCommand(settings.powerCommand, environment, kind, delayMin),
    restartAgent: settings.restartAgent,
  };
}

// Where the system has no number for its starts, the minute of the start is one.
async function bootMarkOf(
  id: string,
  facts: () => Promise<{ readonly bootMs: number }>,
): Promise<string> {
  return id === "unknown" ? `boot-${(await facts()).bootMs}` : id;
}
