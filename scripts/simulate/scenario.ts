/** Scenario files: the schema at the door, and where the bundled ones lie. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { parserOf, readJson } from "../../protocol/json.ts";

const FOLDER = join(import.meta.dirname, "scenarios");
const SCENARIO_MAX_BYTES = 64 * 1024;
const closed = { additionalProperties: false } as const;

const Share = Type.Number({ minimum: 0, maximum: 1 });
const Rate = Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 });
const Seconds = Type.Number({ minimum: 0, maximum: 1_000_000 });
const Milliseconds = Type.Number({ minimum: 0, maximum: 10_000 });

const FaultsSchema = Type.Object(
  {
    dp: Type.Optional(
      Type.Object({ kind: Type.Enum(["killed", "frozen"]), atFraction: Share }, closed),
    ),
    /** Shares of the package on the line at which a current holder of leases is killed. */
    holdersKilledAt: Type.Optional(Type.Array(Share, { maxItems: 100 })),
    corrupt: Type.Optional(Type.Object({ share: Share, fragmentShare: Share }, closed)),
    slow: Type.Optional(Type.Object({ share: Share, uploadMbitPerSec: Rate }, closed)),
    silent: Type.Optional(Type.Object({ share: Share }, closed)),
    killed: Type.Optional(Type.Object({ share: Share }, closed)),
    /** All programs are killed at this share of the package, and start again within `spreadSec`. */
    restart: Type.Optional(Type.Object({ atFraction: Share, spreadSec: Seconds }, closed)),
    /** Two halves do not reach each other until this share has crossed the line; above 1: never. */
    split: Type.Optional(Type.Object({ untilFraction: Type.Number({ minimum: 0 }) }, closed)),
    /** They leave while the package arrives, at any moment, and come back. */
    laptops: Type.Optional(Type.Object({ share: Share, awaySec: Seconds }, closed)),
  },
  closed,
);

const SiteClassSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 40 }),
    count: Type.Integer({ minimum: 1, maximum: 100_000 }),
    endpoints: Type.Integer({ minimum: 1, maximum: 1000 }),
    /** One of the endpoints is a DP. */
    hasDp: Type.Boolean(),
    /** The DP has the package before the others begin. */
    isDpFull: Type.Optional(Type.Boolean()),
    /** A range stands for a spread over its octaves. */
    wanMbitPerSec: Type.Union([Rate, Type.Object({ from: Rate, to: Rate }, closed)]),
    lanMbitPerSec: Rate,
    /** For contrast: whoever was asked for a fragment is waited for, however slow it is. */
    isWithoutTimeouts: Type.Optional(Type.Boolean()),
    faults: Type.Optional(FaultsSchema),
  },
  closed,
);

const ScenarioSchema = Type.Object(
  {
    about: Type.String({ minLength: 1, maxLength: 500 }),
    package: Type.Object(
      {
        bytes: Type.Integer({ minimum: 1, maximum: 64 * 1024 ** 3 }),
        fragmentBytes: Type.Integer({ minimum: 1024, maximum: 4 * 1024 ** 2 }),
      },
      closed,
    ),
    sites: Type.Array(SiteClassSchema, { minItems: 1, maxItems: 20 }),
    /** Endpoints of one site, and sites, begin spread evenly over these times. */
    start: Type.Object({ endpointSpreadSec: Seconds, siteSpreadSec: Seconds }, closed),
    links: Type.Object(
      {
        lanLatencyMs: Milliseconds,
        wanLatencyMs: Milliseconds,
        /** Payload ÷ line bytes of TCP in Ethernet frames. */
        goodput: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
      },
      closed,
    ),
    origin: Type.Object({ mbitPerSec: Type.Number({ exclusiveMinimum: 0, maximum: 1e9 }) }, closed),
    /** Many sites: only a sample is simulated by fragments, cut to these lengths. */
    sample: Type.Optional(
      Type.Object(
        {
          sitesPerStratum: Type.Integer({ minimum: 1, maximum: 1000 }),
          rateBands: Type.Integer({ minimum: 1, maximum: 20 }),
          fragmentCounts: Type.Array(Type.Integer({ minimum: 8, maximum: 300_000 }), {
            minItems: 2,
            maxItems: 4,
          }),
        },
        closed,
      ),
    ),
    /** What the design promises; printed beside the result. */
    expected: Type.Optional(
      Type.Object(
        {
          timeRatio: Type.Optional(Type.Number()),
          wanRatio: Type.Optional(Type.Number()),
          busiestUpload: Type.Optional(Type.Number()),
          /** Seconds on top of `timeRatio`. */
          extraSec: Type.Optional(Type.Number()),
          messagesPerSec: Type.Optional(Type.Number()),
        },
        closed,
      ),
    ),
    /** How often the whole is repeated with the next seeds; the table shows median and worst. */
    runs: Type.Integer({ minimum: 1, maximum: 100 }),
    seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295 }),
  },
  closed,
);
export type Scenario = Static<typeof ScenarioSchema>;
export type SiteClass = Static<typeof SiteClassSchema>;
export type Faults = Static<typeof FaultsSchema>;

const parseShape = parserOf("the scenario", ScenarioSchema);

/** Endpoints that are simulated by fragments in one run; beyond it a sample is needed. */
const WHOLE_MAX_ENDPOINTS = 20_000;

/** Throws DOCUMENT_INVALID with the place and the rule. */
export function parseScenario(value: unknown): Scenario {
  const scenario = parseShape(value);
  for (const site of scenario.sites) {
    const { name, wanMbitPerSec, faults, endpoints, hasDp, isDpFull } = site;
    const wan = wanMbitPerSec;
    if (typeof wan !== "number" && wan.from > wan.to) {
      refuse(`site class ${name}: its range of rates ends before it begins`);
    }
    if (!hasDp && (faults?.dp !== undefined || isDpFull === true)) {
      refuse(`site class ${name}: it has no DP that could fail or be full`);
    }
    if ((faults?.holdersKilledAt ?? []).length >= endpoints) {
      refuse(`site class ${name}: more holders are killed than it has endpoints`);
    }
  }
  const endpoints = scenario.sites.reduce((sum, site) => sum + site.count * site.endpoints, 0);
  if (scenario.sample === undefined && endpoints > WHOLE_MAX_ENDPOINTS) {
    refuse(`${endpoints} endpoints are too many to simulate each: give a "sample"`);
  }
  return scenario;
}

function refuse(problem: string): never {
  throw new DeployError("DOCUMENT_INVALID", { what: "the scenario", problem });
}

export async function bundledNames(): Promise<readonly string[]> {
  const files = await readdir(FOLDER);
  return files
    .filter((file) => file.endsWith(".json"))
    .map((file) => basename(file, ".json"))
    .toSorted();
}

/** A bundled scenario by its name, or any file by its path. */
export async function loadScenario(nameOrPath: string): Promise<Scenario> {
  const isBundled = (await bundledNames()).includes(nameOrPath);
  const path = isBundled ? join(FOLDER, `${nameOrPath}.json`) : nameOrPath;
  const text = await readFile(path, "utf8");
  return parseScenario(readJson("the scenario", text, SCENARIO_MAX_BYTES));
}
