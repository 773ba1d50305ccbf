/**
 * What a publisher signs besides the action: when a package may be installed, what it needs, how its
 * presence is recognised, and how it is taken off again. The planner and the agent decide by these
 * alone; the coordinator cannot change them.
 */
import { Type, type Static } from "typebox";
import { DigestSchema, PackageNameSchema } from "./ids.ts";
import { ExecuteActionSchema, LaunchActionSchema } from "./package-action.ts";
import { OutcomeSchema } from "./outcome.ts";

const closed = { additionalProperties: false } as const;

/**
 * A range of versions: `>=1.2 <2`, `1.2.3`, `*`; comparators separated by blanks all have to hold,
 * alternatives are separated by `||`.
 */
export const VersionRangeSchema = Type.String({ minLength: 1, maxLength: 200 });

/** How versions of this package are ordered; `numbers` compares runs of digits (Windows, most others). */
export const VersionSchemeSchema = Type.Enum(["numbers", "semver", "deb", "rpm"]);
export type VersionScheme = Static<typeof VersionSchemeSchema>;

/** Phase of the primary that a dependency belongs to (ZEN-2). */
export const ActionSetSchema = Type.Enum([
  "distribute",
  "install",
  "launch",
  "verify",
  "uninstall",
]);
export type ActionSet = Static<typeof ActionSetSchema>;

/** Edge from this package, the primary, to a dependent (ZEN-1, ZEN-5). */
export const DependencySchema = Type.Object(
  {
    name: PackageNameSchema,
    /** Absent: any version; the newest active one that fits is taken. */
    versions: Type.Optional(VersionRangeSchema),
    actionSet: ActionSetSchema,
    /** Allows a dependent that restarts or shuts down (ZEN-20, D9: then deferred to the chain's end). */
    allowsRestart: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type Dependency = Static<typeof DependencySchema>;

/** Every part that is there has to hold. */
export const RequirementsSchema = Type.Object(
  {
    os: Type.Optional(
      Type.Array(Type.Enum(["linux", "win32", "darwin"]), { minItems: 1, maxItems: 3 }),
    ),
    /** Range over the version that the endpoint reports, compared as numbers. */
    osVersion: Type.Optional(VersionRangeSchema),
    arch: Type.Optional(Type.Array(Type.String({ maxLength: 20 }), { minItems: 1, maxItems: 8 })),
    memoryBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    freeDiskBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    /** Query over the inventory (inventory-query.ts). */
    query: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  closed,
);
export type Requirements = Static<typeof RequirementsSchema>;

/** One test whether the package is there; all rules of the list have to hold. */
export const DetectionRuleSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("file"),
      /** Absolute, or relative to the node's store folder. */
      path: Type.String({ minLength: 1, maxLength: 1024, pattern: "^[^\\u0000]+$" }),
      sizeBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
      sha256: Type.Optional(DigestSchema),
    },
    closed,
  ),
  Type.Object(
    {
      /** An entry of the system's package database: dpkg, rpm, or the Windows uninstall keys. */
      kind: Type.Literal("software"),
      name: Type.String({ minLength: 1, maxLength: 200 }),
      versions: Type.Optional(VersionRangeSchema),
    },
    closed,
  ),
  Type.Object(
    {
      /** Installed where the command ends with 0. */
      kind: Type.Literal("command"),
      command: Type.Array(Type.String({ maxLength: 4096, pattern: "^[^\\u0000]*$" }), {
        minItems: 1,
        maxItems: 257,
      }),
      shell: Type.Boolean(),
      timeoutSec: Type.Integer({ minimum: 1, maximum: 3600 }),
    },
    closed,
  ),
]);
export type DetectionRule = Static<typeof DetectionRuleSchema>;

export const PostActionSchema = Type.Enum(["none", "restart", "shutdown", "restartAgent"]);
export type PostAction = Static<typeof PostActionSchema>;

/** What happens to an older version of the same package (OCO-41). */
export const UpgradeBehaviorSchema = Type.Enum(["explicitUninstall", "replaces", "keep"]);
export type UpgradeBehavior = Static<typeof UpgradeBehaviorSchema>;

export const PackageRulesSchema = Type.Object(
  {
    /** Taken off by this, with success codes of its own (OCO-35, OCO-50). Absent: cannot be uninstalled. */
    uninstall: Type.Optional(Type.Union([LaunchActionSchema, ExecuteActionSchema])),
    /** Run at every launch of the package, and of every primary that launches it (ZEN-19). */
    onLaunch: Type.Optional(Type.Union([LaunchActionSchema, ExecuteActionSchema])),
    dependencies: Type.Optional(Type.Array(DependencySchema, { maxItems: 64 })),
    requirements: Type.Optional(RequirementsSchema),
    detection: Type.Optional(Type.Array(DetectionRuleSchema, { minItems: 1, maxItems: 16 })),
    /** Classes of exit codes beyond the list of success codes. */
    exitCodes: Type.Optional(
      Type.Array(Type.Object({ code: Type.Integer(), outcome: OutcomeSchema }, closed), {
        maxItems: 64,
      }),
    ),
    postAction: Type.Optional(PostActionSchema),
    /** Absent: `explicitUninstall`. */
    upgrade: Type.Optional(UpgradeBehaviorSchema),
    /** Other packages that this one takes the place of; uninstalled first where they can be. */
    supersedes: Type.Optional(
      Type.Array(
        Type.Object(
          { name: PackageNameSchema, versions: Type.Optional(VersionRangeSchema) },
          closed,
        ),
        { maxItems: 16 },
      ),
    ),
    /** Packages that must not be there at the same time. */
    conflicts: Type.Optional(Type.Array(PackageNameSchema, { maxItems: 64 })),
    /** Absent: `numbers`. */
    versionScheme: Type.Optional(VersionSchemeSchema),
  },
  closed,
);
export type PackageRules = Static<typeof PackageRulesSchema>;

export const NO_RULES: PackageRules = {};
