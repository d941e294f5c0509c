# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The remedy for each error; the reference page is generated from this table."""

from __future__ import annotations

from typing import Final

from coterie_common import errors
from coterie_common.errors import CoterieError

_OURS: Final = "a defect of Coterie: report it with the log line of the incident"
_LOOK: Final = "the log names who sent it; the round goes on without it"

ADVICE: Final[dict[type[CoterieError], str]] = {
    errors.ConfigurationError: "correct the entry that the line names; the line also states the allowed values",
    errors.DataError: "correct the file, or the schema: `coterie-party data check` shows file, row and column",
    errors.RecordsMoved: "have the job submitted again; while jobs run, add rows only at the end of the file",
    errors.KeyFileError: "check the password; import the newest bundle again",
    errors.OldKeyError: "ask the founder for a new epoch, and import the new bundle or credential",
    errors.WrongOrderError: "run the command that the line names first",
    errors.MistypedToken: "copy the whole token again, from `coterie-` to its last character",
    errors.TrainingFailed: "the party's log states the reason; check its network, its libraries and `[training]`",
    errors.TrainingTimeout: "raise `seconds` in `[training]`, or train on smaller batches",
    errors.TrainingDied: "raise `memory_mib` in `[training]`; the party's log has the last words of the process",
    errors.VectorsNotFinite: "lower the learning rate, or mend the network: its gradients overflow",
    errors.WrongVectorShape: "install the same version of the network at every party",
    errors.RowsNotIndependent: "use another build of PyTorch or NumPy at this party, or another network",
    errors.StateError: _OURS,
    errors.InternalError: _OURS,
    errors.MalformedMessage: "run the same version of Coterie on both sides; otherwise look into the sender",
    errors.UnexpectedMessage: "nothing, if it happens once: messages cross; otherwise look into the sender",
    errors.StaleRound: "nothing: the round is over",
    errors.UnknownRound: "nothing, after a restart; otherwise look into the sender",
    errors.NotInCohort: "look into the aggregator: it admitted a party that was not asked",
    errors.IdentityMismatch: "use the folder or bundle of this member and this founder; compare fingerprints",
    errors.NotTheAggregator: "compare the address with the founder: another host answers, or something in between",
    errors.InvitationReplayed: "run the command again; if it returns, something on the way repeats messages",
    errors.Unauthenticated: "check the credential folder and the clock; have the member admitted again",
    errors.AlteredReplyList: "look into the aggregator: its sums may lack the reply that this party sent",
    errors.Equivocation: "look into the aggregator: it contradicts itself; `coterie audit compare` shows who saw what",
    errors.ParameterMismatch: "import the newest bundle on both sides",
    errors.InvalidSignature: _LOOK,
    errors.InvalidCiphertext: _LOOK,
    errors.InvalidProof: _LOOK,
    errors.GenerationDeviation: "the holder that is named broke the protocol: settle it, and generate a key again",
    errors.GenerationFailed: "nothing was kept: generate a key again; if it recurs, compare the holders' logs",
    errors.InvalidPadKey: "the job's reason lists who contributed: leave some out of the next, `without` in `[rounds]`",
    errors.QuotaExceeded: "wait for a job to end, or cancel one; at a party its steward can refuse jobs that never end",
    errors.BudgetExhausted: "ask for less ε, wait for the period to pass, or talk to the steward",
    errors.UnsupportedMechanism: "use another mechanism, unit or sampling; the line names those with a bound",
    errors.QuorumTooSmall: "have more parties take part, or agree on smaller floors",
    errors.NoiseInsufficient: "look into the aggregator: it asks with less noise than was agreed",
    errors.CapacityExceeded: "ask fewer values per round, as the line states",
    errors.DrownedInNoise: "ask for more ε, fewer rounds or a smaller model; or submit with `--despite-noise`",
    errors.ConsentDenied: "talk to the steward, or ask for what the policy allows",
    errors.MissingLibrary: "install the library that the line names on that host; for PyTorch see docs/deployment.md",
    errors.NotConfined: "run the party where the kernel has Landlock, or change `confinement` in the policy",
    errors.UnknownInvitation: "use the token as the founder gave it, at this founder's aggregator",
    errors.InvitationExpired: "ask the founder for a new token: `coterie invite ID --renew`",
    errors.InvitationUsed: "tell the founder: somebody else used the token; ask for a new one by another way",
    errors.AlreadySubmitted: "`coterie jobs submit --again` if a second one is meant",
    errors.OutsideHours: "wait for the party's hours, or give the job a longer `timeout_s`",
    errors.AlreadyDecided: "have the job submitted again; `coterie-party refuse` stops a running one",
    errors.PermissionDenied: "use the credential of a role that may do this",
    errors.SecretsErased: "submit the job again: this one has run longer than it declared, or this party was restored",
    errors.AlreadyAnswered: "look into the aggregator: it asks a second time; nothing was answered twice",
    errors.InvalidJob: "correct the entry of the job file that the line names",
    errors.KeyMismatch: _OURS,
    errors.PlaintextOutOfRange: _OURS,
    errors.InsufficientShares: "wait for more parties to help to open the sum",
    errors.NotOpened: "read the log of the aggregator: it names the parties whose partial decryptions are wrong",
    errors.Unavailable: "daemons retry by themselves; check the address, the network and the other side",
    errors.Superseded: "run one daemon per party: two with one identity displace each other",
    errors.DeadlineExceeded: "try again; raise the deadlines in `[rounds]` for slow parties",
    errors.Overloaded: "try again after the time that the line names",
    errors.StorageError: "free or repair the disk and start the daemon again; nothing unstored was sent",
    errors.NotFound: "look up the name: `coterie jobs list`, `coterie parties`, `coterie-party jobs`",
}
"""Every error with its own code."""
