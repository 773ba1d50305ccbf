/** Scenarios 1, 3, 4 and 6: one office behind a slow line, and what may happen to its machines. */
import { bestSeconds } from "../swarm/course.ts";
import { freezing, killing, type Fault } from "../swarm/faults.ts";
import { placeOf, Stage, type Transfer } from "../swarm/stage.ts";
import {
  atMost,
  QUIET_CHECK_IN,
  timed,
  type Check,
  type Conditions,
  type Scenario,
} from "./scenario.ts";

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
}

export const OFFICE_SCENARIOS: readonly Scenario[] = [
  {
    id: 1,
    title: "no DP, everybody in the same second",
    run: async (conditions) => usual(await officeRun(conditions, { hasDp: false })),
  },
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
async function officeRun(conditions: Conditions, office: Office): Promise<Seen> {
  const { peers, wan, lan, sizeBytes, raw, isBackground } = conditions;
  const { hasDp, faults, survivors, prepare } = office;
  const options = { sites: 1, agents: peers, wan, lan, checkIn: QUIET_CHECK_IN, isBackground };
  await using stage = await Stage.open({ ...options, hasDp });
  await prepare?.(stage);
  await stage.publish(REF, sizeBytes);
  const names = stage.agents.filter((_name, at) => survivors?.(at) ?? true);
  const order = { ref: REF, sizeBytes, target: "all", names };
  const transfer = await stage.transfer(faults === undefined ? order : { ...order, faults });
  return {
    time: transfer.seconds / bestSeconds(sizeBytes, wan) / raw.time,
    wan: (transfer.wanBytes[0] ?? Number.NaN) / sizeBytes / raw.wan,
    transfer,
  };
}

function usual({ time, wan, transfer }: Seen): readonly Check[] {
  return [
    atMost("line ÷ raw TCP", WAN_MAX, wan),
    timed(atMost("time ÷ raw TCP", TIME_MAX, time), transfer),
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
    timed(
      atMost(
        `${word}: time ÷ raw TCP, with ${DP_PATIENCE_SECONDS} s`,
        rounded(TIME_MAX + patience),
        seen.time,
      ),
      seen.transfer,
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
    timed(atMost("others: time ÷ raw TCP", TIME_MAX, others / best), seen.transfer),
    timed(atMost("all: time ÷ raw TCP", 1.05, seen.time), seen.transfer),
  ];
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
