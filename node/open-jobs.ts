/**
 * The rooms that act, put together: the driver of jobs on the machine, the run around it, and the waker.
 * The driver tells the run what it does, and the run tells the driver when to act; that circle closes here.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { JobDriver } from "./actions/job-driver.ts";
import type { JobParts, Machine, Placement } from "./actions/job-parts.ts";
import { LaunchDesk } from "./actions/launch-desk.ts";
import { packageEnvironment, type NodeSettings } from "./config.ts";
import type { Journal } from "./content/journal.ts";
import { LocalPackages } from "./content/local-packages.ts";
import type { Refusal, Swarm } from "./content/ports.ts";
import { Waker } from "./dp/wake.ts";
import type { ContentRoom } from "./open-content.ts";
import { openMachine } from "./scan/machine.ts";
import { RunCycle } from "./scan/run-cycle.ts";
import type { TrustStore } from "./trust/trust-store.ts";
import type { Identity } from "./uplink/identity.ts";
import type { Outbox } from "./uplink/outbox.ts";

export interface JobRoomParts {
  readonly dataDir: string;
  readonly name: string;
  readonly settings: NodeSettings;
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly placement: () => Placement;
  readonly checkIn: (signal: AbortSignal) => Promise<void>;
  readonly restartAgent: () => void;
  readonly now: () => number;
  readonly clock: () => number;
  readonly log: Logger;
}

export interface JobRoom {
  readonly driver: JobDriver;
  readonly cycle: RunCycle;
  readonly waker: Waker;
}

export async function openJobs(
  stack: AsyncDisposableStack,
  room: JobRoomParts,
  exchange: Swarm,
  content: ContentRoom,
): Promise<JobRoom> {
  const circle: { cycle?: RunCycle } = {};
  const machine = machineOf(room);
  const { journal, outbox, log, now } = room;
  const parts: JobParts = {
    ...room,
    ...content,
    endpoint: room.identity.endpoint,
    exchange,
    machine,
    packages: await LocalPackages.open(join(room.dataDir, "sources")),
    freeMemoryBytes: () => process.availableMemory(),
    environment: packageEnvironment(),
    retryBaseMs: room.settings.retryBaseMs,
    stallMs: room.settings.stallMs,
    onActivity: (activity) => circle.cycle?.noticed(activity),
    onAgentError: (error, reason) => log.warn({ err: error, reason }, "job.agentError"),
  };
  const driver = stack.use(new JobDriver(parts, log));
  const cycle = new RunCycle({
    endpoint: room.identity.endpoint,
    intervalMs: room.settings.runMs,
    journal,
    outbox,
    software: async (signal) => machine.software(signal),
    review: async (signal) => driver.review(signal),
    checkIn: room.checkIn,
    act: async (review) => driver.act(review),
    isQuiet: () => driver.isQuiet,
    now,
    log,
  });
  circle.cycle = cycle;
  stack.use(
    await LaunchDesk.open(room.dataDir, async (wish, signal) => driver.launch(wish, signal), log),
  );
  return { driver, cycle, waker: new Waker({ journal, log }) };
}

function machineOf({ dataDir, name, settings, trust, restartAgent, log }: JobRoomParts): Machine {
  return openMachine({
    dataDir,
    name,
    role: () => trust.membership()?.membership.role ?? "agent",
    powerCommand: settings.powerCommand,
    environment: packageEnvironment(),
    restartAgent,
    log,
  });
}
