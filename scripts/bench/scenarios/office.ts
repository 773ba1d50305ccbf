/** Scenarios 1 to 4 and 6: one office behind a slow line, and what may happen to its machines. */
import { bestSeconds } from "../swarm/course.ts";
import { freezing, killing, type Fault } from "../swarm/faults.ts";
import { runHttpDp } from "../swarm/http-dp.ts";
import { placeOf, Stage, type Transfer } from "../swarm/stage.ts";
import { atMost, shown, type Check, type Conditions, type Scenario } from "./scenario.ts";

const REF = "scenario/noise@1";
const WAN_MAX = 1.01;
const TIME_MAX = 1.03;
/** What the failure of a DP may cost on top: the time until it is missed. */
const DP_PATIENCE_SECONDS = 3;
const SLOW_UPLOAD = "2mbit";

interface Office {
  readonly hasDp: boolean;
  readonly faults?: readonly Fault[];
  /** Positions of the agents that are waited for; absent: all. */
  readonly survivors?: (position: number) => boolean;
  readonly prepare?: (stage: Stage) => Promise<void>;
}

interface Seen {
  /** Against raw TCP on the same line. */
  readonly time: number;
  readonly wan: number;
  readonly transfer: Transfer;
  readonly stage: Stage;
}

export const OFFICE_SCENARIOS: readonly Scenario[] = [
  {
    id: 1,
    title: "no DP, everybody in the same second",
    run: async (conditions) => usual(await officeRun(conditions, { hasDp: false })),
  },
  { id: 2, title: "a DP, beside a star", run: withDp },
  {
    id: 3,
    title: "the DP is killed at 50 %, and frozen at 50 %",
    run: async (conditions) => [
      ...(await withoutItsDp(
        conditions,
        "killed",
        killing(0.5, ({ dps }) => dps),
      )),
      ...(await withoutItsDp(
        conditions,
        "frozen",
        freezing(0.5, ({ dps }) => dps),
      )),
    ],
  },
  {
    id: 4,
    title: "3 holders killed at 25, 50 and 75 %",
    run: async (conditions) => {
      const faults = [0.25, 0.5, 0.75].map((share, at) =>
        killing(share, ({ agents }) => agents.slice(at, at + 1)),
      );
      return usual(
        await officeRun(conditions, { hasDp: false, faults, survivors: (at) => at >= 3 }),
      );
    },
  },
  { id: 6, title: "a fifth of the peers upload at 2 Mbit/s", run: withSlowPeers },
];

/** Raw TCP needs `raw.time`; what the offices need is given in units of that. */
export async function officeRun(conditions: Conditions, office: Office): Promise<Seen> {
  const { peers, wan, lan, sizeBytes, raw } = conditions;
  const { hasDp, faults, survivors, prepare } = office;
  await using stage = await Stage.open({ sites: 1, agents: peers, wan, lan, hasDp });
  await prepare?.(stage);
  await stage.publish(REF, sizeBytes);
  const names = stage.agents.filter((_name, at) => survivors?.(at) ?? true);
  const order = { ref: REF, sizeBytes, target: "all", names };
  const transfer = await stage.transfer(faults === undefined ? order : { ...order, faults });
  return {
    time: transfer.seconds / bestSeconds(sizeBytes, wan) / raw.time,
    wan: (transfer.wanBytes[0] ?? Number.NaN) / sizeBytes / raw.wan,
    transfer,
    stage,
  };
}

export function usual({ time, wan }: Seen, of = ""): readonly Check[] {
  return [
    atMost(`${of}line ÷ raw TCP`, WAN_MAX, wan),
    atMost(`${of}time ÷ raw TCP`, TIME_MAX, time),
  ];
}

async function withDp(conditions: Conditions): Promise<readonly Check[]> {
  const seen = await officeRun(conditions, { hasDp: true });
  const uploads = seen.stage.agents.map((name) => seen.transfer.uploads.get(name) ?? 0);
  const star = await runHttpDp({ ...conditions, sites: 1, hosts: conditions.peers });
  return [
    atMost("line ÷ raw TCP", 1.005, seen.wan),
    atMost("time ÷ raw TCP", TIME_MAX, seen.time),
    atMost("busiest peer's upload ÷ package", 2, Math.max(...uploads) / conditions.sizeBytes),
    shown(
      "DP's upload ÷ package",
      (seen.transfer.uploads.get(dpOf(seen.stage)) ?? 0) / conditions.sizeBytes,
    ),
    shown("star: time ÷ raw TCP", star.time / conditions.raw.time),
  ];
}

async function withoutItsDp(
  conditions: Conditions,
  word: string,
  fault: Fault,
): Promise<readonly Check[]> {
  const seen = await officeRun(conditions, { hasDp: true, faults: [fault] });
  const patience =
    DP_PATIENCE_SECONDS / bestSeconds(conditions.sizeBytes, conditions.wan) / conditions.raw.time;
  return [
    atMost(`${word}: line ÷ raw TCP`, WAN_MAX, seen.wan),
    atMost(
      `${word}: time ÷ raw TCP, with ${DP_PATIENCE_SECONDS} s`,
      rounded(TIME_MAX + patience),
      seen.time,
    ),
  ];
}

async function withSlowPeers(conditions: Conditions): Promise<readonly Check[]> {
  const slowCount = Math.round(conditions.peers / 5);
  const seen = await officeRun(conditions, {
    hasDp: false,
    prepare: async (stage) => {
      for (const name of stage.agents.slice(0, slowCount)) {
        const { site, host } = placeOf(name);
        await stage.lab.limitUpload(site, host, SLOW_UPLOAD);
      }
    },
  });
  const { endSeconds } = seen.transfer;
  // The slow ones fetch like everybody: what counts is that the others' share ends in time.
  const others = endSeconds[endSeconds.length - 1 - slowCount] ?? Number.NaN;
  const best = bestSeconds(conditions.sizeBytes, conditions.wan) * conditions.raw.time;
  return [
    atMost("line ÷ raw TCP", WAN_MAX, seen.wan),
    atMost("others: time ÷ raw TCP", TIME_MAX, others / best),
    atMost("all: time ÷ raw TCP", 1.05, seen.time),
  ];
}

function dpOf(stage: Stage): string {
  return stage.dps[0] ?? "";
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
