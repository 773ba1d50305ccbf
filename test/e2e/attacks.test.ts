/**
 * A coordinator, or somebody on the way to it, that alters what a node is told: nothing of it is executed,
 * the operator hears of it, and the node goes on with the next good directive.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { endpointOf, jobOf, publish, publishTo } from "../support/deployments.ts";
import {
  HostileCoordinator,
  orderOf,
  unpublishedManifest,
} from "../support/hostile-coordinator.ts";
import { HostileProxy, type CheckInSeen } from "../support/hostile-proxy.ts";
import { Fleet, until } from "../support/processes.ts";
import type { CheckInAnswer, MetadataFiles } from "../../protocol/check-in.ts";
import { parseEndpointId } from "../../protocol/ids.ts";

const LISTEN = "127.20.1.11:0";
let fleet: Fleet;
let proxy: HostileProxy;
let thief: HostileCoordinator;
/** Published, but for nobody: its command makes the marker "evil". */
let evil: Buffer;
/** Never published: its command makes the marker "ghost". */
let ghost: Buffer;
let goodCount = 0;

beforeAll(async () => {
  fleet = await Fleet.start({ coordinatorFlags: ["--insecure-http"] });
  proxy = await HostileProxy.start(fleet.url);
  thief = await HostileCoordinator.of(fleet);
  await fleet.command(["site", "create", "office", "--subnet", "127.20.1.0/24"]);
  await publish(fleet, "acme/evil@1", undefined, touch("evil"));
  evil = await thief.manifestBytes("acme/evil@1");
  ghost = unpublishedManifest("acme/ghost@1", marker("ghost"));
  const node = { name: "one", site: "office", listen: LISTEN, coordinator: proxy.url };
  await fleet.startNode({ ...node, checkIn: "500ms" });
  await fleet.joined(["one"]);
});

afterEach(async () => {
  proxy?.relent();
  await expectRecovery();
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

function marker(name: string): string {
  return join(fleet.folder, `marker-${name}`);
}

function touch(name: string): readonly string[] {
  return ["--action", "execute", "--command", `/usr/bin/touch ${marker(name)}`];
}

/** The next good directive is carried out by the same process, and nothing of the attack ever was. */
async function expectRecovery(): Promise<void> {
  const ref = `acme/good${++goodCount}@1`;
  await publishTo(fleet, { ref, flags: touch(ref.slice(5, -2)) }, "endpoint:one");
  await jobOf(fleet, "one", ref);
  expect(existsSync(marker(ref.slice(5, -2)))).toBe(true);
  expect(fleet.nodes.get("one")?.isRunning).toBe(true);
  expect([existsSync(marker("evil")), existsSync(marker("ghost"))]).toEqual([false, false]);
}

/** The refusal that the endpoint has reported; each kind of attack has its own sentence. */
async function refusal(code: string, sentence: RegExp): Promise<string> {
  return until(`a report of ${code} like ${sentence}`, 30_000, async () => {
    const { refusals } = await endpointOf(fleet, "one");
    return refusals.find((one) => one.code === code && sentence.test(one.detail))?.detail;
  });
}

it("BR-2 OCS-17 (M1) refuses a directive that was altered on the way, whatever field it is", async () => {
  await publish(fleet, "acme/altered@1", undefined, touch("altered"));
  const genuine = orderOf(await thief.manifestBytes("acme/altered@1"));
  const changes = [
    ['"attemptLimit":3', '"attemptLimit":9'],
    [genuine.sha256, orderOf(evil).sha256],
    ["acme/altered/1", "acme/ghost/1"],
  ] as const;
  let turn = 0;
  for (const bytes of [evil, ghost]) proxy.manifests.set(orderOf(bytes).sha256, bytes);
  const attack = proxy.attack(({ answer }) => {
    const [from, to] = changes[turn % changes.length] ?? ["", ""];
    const forged = withTargets(answer, from, to);
    if (forged !== undefined) turn++;
    return forged;
  }, changes.length + 1);
  await fleet.command(["package", "activate", "acme/altered@1"]);
  await fleet.command(["deploy", "acme/altered@1", "--to", "endpoint:one"]);

  await attack;
  await refusal("TRUST_SIGNATURE", /^the director is not signed by the keys it needs$/u);

  const { refusals } = await endpointOf(fleet, "one");
  expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(["TRUST_SIGNATURE"]));
  expect(existsSync(marker("altered"))).toBe(false);
  proxy.relent();
  await jobOf(fleet, "one", "acme/altered@1");
  expect(existsSync(marker("altered"))).toBe(true);
});

interface Case {
  readonly title: string;
  readonly code: string;
  readonly sentence: RegExp;
  /** `catalog` is the genuine one, whole, so that only what is forged can be wrong. */
  readonly forge: (seen: CheckInSeen, catalog: MetadataFiles) => CheckInAnswer;
}

const CASES: readonly Case[] = [
  {
    title: "BR-2 (M1) refuses the manifest of one package under the name of another",
    code: "TRUST_NOT_IN_CATALOG",
    sentence: /names acme\/good1\/1, which no publisher/u,
    forge: (seen, catalog) =>
      thief.answer(seen, { targets: [orderOf(evil, { path: "acme/good1/1" })], catalog }),
  },
  {
    title: "BR-2 (M1, M3) refuses a package that no publisher has signed",
    code: "TRUST_NOT_IN_CATALOG",
    sentence: /names acme\/ghost\/1, which no publisher/u,
    forge: (seen, catalog) => thief.answer(seen, { targets: [orderOf(ghost)], catalog }),
  },
  {
    title: "BR-2 (M2) refuses a published package with another kind of action",
    code: "TRUST_MATCH",
    sentence: /^the directive describes acme\/evil\/1 differently from its publisher$/u,
    forge: (seen, catalog) => {
      const order = orderOf(evil);
      const custom = { ...order.custom, match: { epoch: 1, kind: "launch" as const } };
      return thief.answer(seen, { targets: [{ ...order, custom }], catalog });
    },
  },
  {
    title: "BR-2 OCS-17 (M3) refuses a catalog bin that another key has signed",
    code: "TRUST_SIGNATURE",
    sentence: /^the catalog is not signed/u,
    forge: (seen, genuine) => {
      const catalog = thief.catalogWith(genuine, orderOf(ghost));
      return thief.answer(seen, { targets: [orderOf(ghost)], catalog });
    },
  },
  {
    title: "BR-2 (M10) refuses the directive of another endpoint",
    code: "TRUST_WRONG_ENDPOINT",
    sentence: /was made for another endpoint$/u,
    forge: (seen, catalog) =>
      thief.answer(seen, { targets: [orderOf(evil)], device: ANOTHER, catalog }),
  },
];
const ANOTHER = parseEndpointId("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");

for (const { title, code, sentence, forge } of CASES) {
  it(`${title}, from a coordinator with all online keys`, async () => {
    for (const bytes of [evil, ghost]) proxy.manifests.set(orderOf(bytes).sha256, bytes);
    const catalog = { ...proxy.catalog, ...(await thief.binWith("acme/evil@1")) };

    await proxy.attack((seen) => forge(seen, catalog));

    await refusal(code, sentence);
    expect([existsSync(marker("evil")), existsSync(marker("ghost"))]).toEqual([false, false]);
  });
}

it("BR-2 (M8) refuses a whole answer that was made for an earlier request", async () => {
  // The newest one: nothing but the nonce of the request tells it from a good answer.
  const recorded = proxy.seen.at(-1);
  if (recorded === undefined) throw new Error("no check-in went through");

  await proxy.attack(() => recorded.answer);

  const told = await refusal("TRUST_STALE_ANSWER", /./u);
  expect(told).toBe("the answer was not made for this request");
});

it("BR-2 OCS-17 D12 refuses a manifest altered on plain HTTP, and takes fragments over it", async () => {
  const content = join(fleet.folder, "bent");
  await mkdir(content);
  await writeFile(join(content, "payload.txt"), "over plain HTTP");
  const command = `/bin/cp payload.txt ${marker("bent")}`;
  await publish(fleet, "acme/bent@1", content, ["--action", "execute", "--command", command]);
  const genuine = await thief.manifestBytes("acme/bent@1");
  const bent = Buffer.from(genuine.toString("utf8").replace("marker-bent", "marker-evil"));
  proxy.manifests.set(orderOf(genuine).sha256, bent);
  await fleet.command(["package", "activate", "acme/bent@1"]);

  await fleet.command(["deploy", "acme/bent@1", "--to", "endpoint:one"]);

  const told = await refusal("SIGNATURE_INVALID", /^acme\/bent\/1/u);
  expect(told).toContain(orderOf(genuine).sha256);
  expect([existsSync(marker("evil")), existsSync(marker("bent"))]).toEqual([false, false]);
  proxy.relent();
  await jobOf(fleet, "one", "acme/bent@1");
  expect(await readFile(marker("bent"), "utf8")).toBe("over plain HTTP");
});

function withTargets(answer: CheckInAnswer, from: string, to: string): CheckInAnswer | undefined {
  const targets = answer.directive?.["targets.json"];
  if (targets?.includes(from) !== true) return undefined;
  return {
    ...answer,
    directive: { ...answer.directive, "targets.json": targets.replace(from, to) },
  };
}
