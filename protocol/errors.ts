/**
 * Every error that a person or another program can see: stable code, message, hint, retryable.
 * Expected outcomes are return values; DeployError is for broken promises, bad input and lost resources.
 */

interface ErrorEntry {
  /** Sentence for a person; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** What to do next. */
  readonly hint: string;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
}

export const ERRORS = {
  INPUT_INVALID: {
    message: "{what} is not valid: expected {expected}",
    hint: "Correct the value and call again.",
    retryable: false,
  },
  DOCUMENT_INVALID: {
    message: "{what} is malformed: {problem}",
    hint: "The sender and this program may be of different versions; compare `branchline --version`.",
    retryable: false,
  },
  DOCUMENT_TOO_LARGE: {
    message: "{what} is larger than {limitBytes} bytes",
    hint: "Nothing of ours grows that large; the sender is broken or hostile.",
    retryable: false,
  },
  SIGNATURE_INVALID: {
    message: "the signature of {what} is not valid",
    hint: "The document was altered or signed by another key; it is not used.",
    retryable: false,
  },
  CLI_USAGE: {
    message: "{problem}",
    hint: "{remedy}",
    retryable: false,
  },
  CLI_NO_COORDINATOR: {
    message: "no coordinator is chosen",
    hint: "Give --data DIR on the coordinator's machine, set BRANCHLINE_URL and BRANCHLINE_TOKEN, or save one with `branchline context add`.",
    retryable: false,
  },
  CLI_NOT_RUNNING: {
    message: "no coordinator runs on the data folder {path}",
    hint: "Start it with `branchline coordinator --data {path} --listen HOST:PORT`.",
    retryable: true,
  },
  CLI_UNREACHABLE: {
    message: "no coordinator answers at {url}: {problem}",
    hint: "Check that it runs and that this machine can reach the address.",
    retryable: true,
  },
  CLI_UNTRUSTED: {
    message: "the certificate of {url} is not trusted: {problem}",
    hint: "Pin the coordinator with `branchline context add NAME --url {url} --token-file FILE --pin PIN`, or name its certificate in BRANCHLINE_CA; for a proxy, name its authority in NODE_EXTRA_CA_CERTS.",
    retryable: false,
  },
  CLI_PIN_MISMATCH: {
    message: "{url} is not the coordinator of this pin: {problem}",
    hint: "Do not use it; compare the address and the pin with the coordinator's own machine.",
    retryable: false,
  },
  CLI_REFUSED: {
    message: "{problem}",
    hint: "{remedy}",
    retryable: false,
  },
  CLI_FILE: {
    message: "{path} cannot be {verb}: {problem}",
    hint: "Check the path and its permissions.",
    retryable: false,
  },
  CLI_INCOMPLETE: {
    message: "{problem}",
    hint: "{remedy}",
    retryable: false,
  },
  CLI_DIFFERENT: {
    message: "{problem}",
    hint: "`branchline apply -f FILE` makes the coordinator's intent the same as the file's.",
    retryable: false,
  },
  CLI_INTERRUPTED: {
    message: "interrupted",
    hint: "{remedy}",
    retryable: true,
  },
  UPLINK_UNREACHABLE: {
    message: "the coordinator at {url} cannot be reached: {problem}",
    hint: "Check the address, the network and whether `branchline coordinator` runs; the node tries again.",
    retryable: true,
  },
  UPLINK_REFUSED: {
    message: "the coordinator refused {what} with status {status}: {problem}",
    hint: "The coordinator's message says why; `branchline status` shows what it knows of this endpoint.",
    retryable: false,
  },
  FLEET_PIN_MISMATCH: {
    message: "the coordinator at {url} is not the one that issued the join token",
    hint: "Nothing was sent. Make a new token with `branchline token create` and check the address.",
    retryable: false,
  },
  JOIN_REQUIRED: {
    message: "this node has not joined a fleet yet",
    hint: "Start it once with `--join TOKEN`; `branchline token create` prints a token.",
    retryable: false,
  },
  NODE_STATE_INVALID: {
    message: "{what} in the node's data folder cannot be used: {problem}",
    hint: "Restore the file, or remove the data folder and join again with a new token.",
    retryable: false,
  },
  CONTENT_INVALID: {
    message: "the content of {package} is not usable: {problem}",
    hint: "The publisher's program wrote it wrongly; publish the package again under a new version.",
    retryable: false,
  },
  FRAGMENT_MISSING: {
    message: "fragment {digest} is not on this node",
    hint: "It is fetched again.",
    retryable: true,
  },
  FRAGMENT_CORRUPT: {
    message: "fragment {digest} on this node's disk no longer matches its digest and was removed",
    hint: "It is fetched again; check the disk where this happens more than once.",
    retryable: true,
  },
  LOCAL_SOURCE_CHANGED: {
    message: "an older version on this endpoint changed while {path} was made from it",
    hint: "The node fetches what it needs instead; nobody has to do anything.",
    retryable: true,
  },
  DISK_FULL: {
    message: "{neededBytes} bytes are needed in {folder}, {freeBytes} are free",
    hint: "Free space on this disk; the node tries again while attempts are left.",
    retryable: true,
  },
  STORE_PATH_REFUSED: {
    message: "the store path {path} is refused: {problem}",
    hint: "Use a path relative to the node's store folder, or an absolute path outside the node's data.",
    retryable: false,
  },
  COMMAND_NOT_STARTED: {
    message: "the command {command} could not be started: {problem}",
    hint: "Check that the program exists on the endpoint or in the package and may be executed.",
    retryable: false,
  },
  COMMAND_TIMEOUT: {
    message: "the command ran longer than {timeoutSec} s and was ended with all its processes",
    hint: "Publish the package with a longer --timeout, or find out what the command waits for.",
    retryable: false,
  },
  UNINSTALL_IMPOSSIBLE: {
    message: "{package} names no command that takes it off again",
    hint: "Publish it with --uninstall, or remove its record once it is gone.",
    retryable: false,
  },
  DETECTION_CONTRADICTS: {
    message: "{problem}",
    hint: "Compare the package's detection rules with what its command leaves on an endpoint.",
    retryable: true,
  },
  FETCH_STALLED: {
    message: "not a byte of {package} came in for {minutes} min",
    hint: "The endpoint tries again by itself; check its network, or schedule the job anew.",
    retryable: true,
  },
  POWER_COMMAND_FAILED: {
    message: "the system could not be told to {kind}: {problem}",
    hint: "The endpoint executes nothing more until it has restarted; restart it, or check --power-command.",
    retryable: true,
  },
  LAUNCH_REFUSED: {
    message: "{package} cannot be launched: {problem}",
    hint: "Only what the endpoint's orders name can be launched; `branchline status` lists them.",
    retryable: false,
  },
  LAUNCH_FAILED: {
    message: "{problem}",
    hint: "What was done before it stays done; `branchline status` shows the job's reason and output.",
    retryable: true,
  },
  NODE_NOT_RUNNING: {
    message: "no node runs on the data folder {path}",
    hint: "Start it with `branchline node --data {path} --coordinator URL`.",
    retryable: true,
  },
  ATTEMPT_INTERRUPTED: {
    message: "the command was started, but its end is unknown: the computer or its runner stopped",
    hint: "It counts as an attempt; check what the package left on the endpoint.",
    retryable: true,
  },
  PUBLISH_SOURCE_MISSING: {
    message: "there is nothing to publish at {path}: {reason}",
    hint: "Name a zip, a tar.gz, a folder or a file that exists and may be read.",
    retryable: false,
  },
  PUBLISH_SOURCE_EMPTY: {
    message: "{path} holds no file",
    hint: "Publish content with at least one file; only execute may go without content.",
    retryable: false,
  },
  PUBLISH_SOURCE_CHANGED: {
    message: "{entry} changed while it was read",
    hint: "Publish from a folder that nobody writes to.",
    retryable: true,
  },
  PUBLISH_ENTRY_REFUSED: {
    message: "{entry} cannot be part of a package: {reason}",
    hint: "Rename or remove it and pack again; nothing of a bad entry is repaired in silence.",
    retryable: false,
  },
  PUBLISH_ARCHIVE_DAMAGED: {
    message: "{path} is damaged at {entry}: {problem}",
    hint: "Make or download the archive again.",
    retryable: false,
  },
  PUBLISH_TOO_LARGE: {
    message: "{entry} exceeds a limit of packages: {problem}",
    hint: "Split the package, or check whether the archive is a decompression bomb.",
    retryable: false,
  },
  PUBLISH_ARCHIVE_TYPE: {
    message: "{path} does not fit a package for {system} alone: it must come as {expected}",
    hint: "Pack the content anew, publish the folder itself, or name more systems with --require os=.",
    retryable: false,
  },
  PUBLISH_ACTION_INVALID: {
    message: "the action {action} does not fit: {problem}",
    hint: "launch: content and a program in its top folder; execute: a command; store: content and a path.",
    retryable: false,
  },
  PUBLISH_CONFLICT: {
    message: "another publish changed the catalog first: {what}",
    hint: "Publish again; what was uploaded is not sent twice.",
    retryable: true,
  },
  STORE_DAMAGED: {
    message: "the stored value {key} is damaged: {problem}",
    hint: "Stop the coordinator and restore the data folder from a backup; do not start empty.",
    retryable: false,
  },
  STORE_LOCKED: {
    message: "another coordinator uses this folder: {folder}",
    hint: "Stop the other coordinator, or give this one a data folder of its own.",
    retryable: true,
  },
  STORE_FAILED: {
    message: "the store in {folder} cannot write any more: {problem}",
    hint: "Check free space and the disk, then start the coordinator again; nothing acknowledged is lost.",
    retryable: true,
  },
  STORE_CONFLICT: {
    message: "another call changed {what} at the same moment",
    hint: "Call again.",
    retryable: true,
  },
  FRAGMENT_MISMATCH: {
    message: "the bytes sent for {digest} have another digest",
    hint: "Send the fragment again; the copy at hand may be damaged.",
    retryable: false,
  },
  FRAGMENTS_MISSING: {
    message: "{count} fragments of {package} are missing or have the wrong size",
    hint: "Upload what /v1/fragments/missing names, then publish again.",
    retryable: true,
  },
  NOT_FOUND: {
    message: "there is no {what}",
    hint: "Compare the name with `branchline status`.",
    retryable: false,
  },
  AUTH_REFUSED: {
    message: "the caller is not known here: {problem}",
    hint: "Operators: give a valid token in BRANCHLINE_TOKEN. Nodes: check in again, or join with a new token.",
    retryable: false,
  },
  JOIN_REFUSED: {
    message: "the join token is not accepted: {problem}",
    hint: "Make a new one with `branchline token create --site NAME`.",
    retryable: false,
  },
  CHECK_IN_REPLAYED: {
    message: "check-in {counter} of this endpoint was seen before",
    hint: "Two machines may use one identity: remove the copy's identity.json and let it join again.",
    retryable: false,
  },
  ACCESS_REFUSED: {
    message: "this endpoint may not have {what}",
    hint: "Only activated packages that are assigned to the endpoint are served, fragments only under a lease.",
    retryable: false,
  },
  INTENT_LOOP: {
    message: "{what} would never come to rest: {problem}",
    hint: "Take one of the versions out first, use `branchline package replace`, or set autoUninstall to false.",
    retryable: false,
  },
  INTENT_IN_USE: {
    message: "{what} is in use: {users}",
    hint: "Remove it there first.",
    retryable: false,
  },
  TENANT_MISMATCH: {
    message: "endpoint {endpoint} belongs to tenant {tenant}, the group {group} to {expected}",
    hint: "A group holds endpoints of one tenant; make a second group for the other tenant.",
    retryable: false,
  },
  PACKAGE_IN_USE: {
    message: "package {package} cannot be deleted: {users}",
    hint: "Uninstall it and take it out of groups and deployments first, or delete it with --force.",
    retryable: false,
  },
  DEPENDENCY_RESTARTS: {
    message: "{primary} depends on {dependent}, which ends with a {postAction}",
    hint: "Take the post action out of the dependent, or allow it: `--depends NAME,allow-restart`; it is then deferred to the end of the chain.",
    retryable: false,
  },
  TOO_MANY_REQUESTS: {
    message: "too many requests from this address",
    hint: "Wait a minute and try again.",
    retryable: true,
  },
  COORDINATOR_BUSY: {
    message: "the coordinator has more work than it can do right now",
    hint: "The call is tried again later by itself.",
    retryable: true,
  },
  COORDINATOR_FAULT: {
    message: "the coordinator failed to answer",
    hint: "Look for request {requestId} in the coordinator's log.",
    retryable: true,
  },
  NOT_INITIALISED: {
    message: "{folder} holds no coordinator",
    hint: "Run `branchline init --data {folder}` first.",
    retryable: false,
  },
  ALREADY_INITIALISED: {
    message: "{folder} is not empty",
    hint: "Start the coordinator with this folder, or name a new one for another fleet.",
    retryable: false,
  },
  KEYS_INSIDE_DATA: {
    message: "the key file {path} lies inside the data folder",
    hint: "Keep the offline keys elsewhere: whoever takes the data folder must not get them.",
    retryable: false,
  },
  PROXY_REQUIRED: {
    message: "this fleet has no certificate of its own: it was made with `init --behind-proxy`",
    hint: "Start the coordinator with --insecure-http, and let a proxy in front of it end TLS.",
    retryable: false,
  },
  LISTEN_FAILED: {
    message: "cannot listen on {address}: {problem}",
    hint: "Choose another --listen address, or stop the program that uses it.",
    retryable: true,
  },
  TRUST_SIGNATURE: {
    message: "{what} is not signed by the keys it needs",
    hint: "It was altered or signed by another key; the endpoint keeps what it had.",
    retryable: false,
  },
  TRUST_METADATA: {
    message: "{what} is refused: {problem}",
    hint: "The sender is broken, hostile or of another version; the endpoint keeps what it had.",
    retryable: false,
  },
  TRUST_ROLLBACK: {
    message: "{what} is older than what this endpoint has already accepted",
    hint: "Old documents are never accepted again. If the coordinator was restored from a backup, its counters must move past the old ones.",
    retryable: false,
  },
  TRUST_EXPIRED: {
    message: "{what} has expired",
    hint: "Check the clocks; if they are right, the coordinator must renew its documents, or the publisher his.",
    retryable: true,
  },
  TRUST_WRONG_ENDPOINT: {
    message: "{what} was made for another endpoint",
    hint: "Somebody passes on documents that are not for this endpoint; nothing of them is used.",
    retryable: false,
  },
  TRUST_NOT_IN_CATALOG: {
    message: "the directive names {what}, which no publisher has signed in this form",
    hint: "Publish the package, or look for an intruder on the coordinator.",
    retryable: false,
  },
  TRUST_MATCH: {
    message: "the directive describes {what} differently from its publisher",
    hint: "The coordinator cannot change what a publisher signed; look for an intruder there.",
    retryable: false,
  },
  TRUST_EPOCH: {
    message: "{what} is of epoch {epoch}, below the floor {floor} of this endpoint",
    hint: "Its publisher has retired it by a higher epoch; deploy the newer version.",
    retryable: false,
  },
  TRUST_STALE_ANSWER: {
    message: "the answer was not made for this request",
    hint: "A recorded answer is being replayed, or the coordinator's clock went back.",
    retryable: true,
  },
  TRUST_EQUIVOCATION: {
    message: "{what} differs from what was accepted under the same version",
    hint: "Two different documents carry one version: look for an intruder on the coordinator.",
    retryable: false,
  },
  TRUST_INCOMPLETE: {
    message: "the answer needs {what} and does not carry it",
    hint: "The next check-in asks again.",
    retryable: true,
  },
  TRUST_STORE_DAMAGED: {
    message: "the trust store of this node is damaged: {problem}",
    hint: "The node stops rather than forget what it must refuse. Remove its data folder and join again with a new token.",
    retryable: false,
  },
  TRUST_NOT_PINNED: {
    message: "this node does not know its fleet yet",
    hint: "Join a fleet first: branchline node --join TOKEN.",
    retryable: false,
  },
  TRUST_OTHER_FLEET: {
    message: "this node already belongs to fleet {fleet}",
    hint: "Use another data folder to join a second fleet.",
    retryable: false,
  },
  KEYFILE_PASSPHRASE: {
    message: "the passphrase does not open the key file {path}",
    hint: "Enter the passphrase that was chosen at `branchline init`; nobody can restore a lost one.",
    retryable: false,
  },
  KEYFILE_EXISTS: {
    message: "the key file {path} exists already",
    hint: "Choose another path; a key file is never overwritten.",
    retryable: false,
  },
  KEYFILE_MISSING: {
    message: "there is no key file at {path}",
    hint: "Name it with --keys FILE; `branchline init` printed where it put the file.",
    retryable: false,
  },
  CATALOG_VERSION_TAKEN: {
    message: "{what} is published already with other content",
    hint: "A published version never changes; publish under a new version.",
    retryable: false,
  },
  PUBLISH_REFUSED: {
    message: "the catalog refuses {what}: {problem}",
    hint: "Publish again with the key file of this fleet and the same version of branchline.",
    retryable: false,
  },
  PUBLISH_OTHER_FLEET: {
    message: "the coordinator's catalog belongs to other keys than the key file: {problem}",
    hint: "Use the key file of this very fleet; nothing was signed.",
    retryable: false,
  },
  TRUST_MANIFEST: {
    message: "the bytes offered as manifest of {what} are not what its publisher signed",
    hint: "They were altered on the way or on disk; the node asks for them again.",
    retryable: true,
  },
  EXCHANGE_FRAGMENT_CORRUPT: {
    message: "{what}",
    hint: "The bytes were dropped; a peer that does it twice is not asked again. Check its disk and memory.",
    retryable: true,
  },
  EXCHANGE_OVER_BUDGET: {
    message: "fetching {package} moved more than {limitBytes} bytes without coming to an end",
    hint: "Something makes its fragments arrive broken or twice; look at the refusals of its site and at `branchline traffic`.",
    retryable: true,
  },
  EXCHANGE_PEER_REFUSED: {
    message: "{what}",
    hint: "It got nothing. If it belongs to this site, check the site's criteria.",
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one error class of the project. `message` is complete; `hint` says what to do. */
export class DeployError extends Error {
  override readonly name = "DeployError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(filledIn(ERRORS[code].message, details), options);
    this.code = code;
    this.details = details;
  }

  get hint(): string {
    return filledIn(ERRORS[this.code].hint, this.details);
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

function filledIn(template: string, details: ErrorDetails): string {
  return template.replaceAll(/\{(\w+)\}/gu, (_whole, key: string) => String(details[key] ?? key));
}
