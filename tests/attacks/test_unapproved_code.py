# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job names an algorithm that is installed at a party, but not in its policy: none of its code may run there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coterie_common.errors import ConfigurationError, ConsentDenied, MalformedMessage
from coterie_common.identifiers import JobId
from coterie_common.learning.algorithm import Algorithm, get_algorithm
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import JobProposal, ModelReceipt
from coterie_common.protocol.signed import UNSIGNED
from coterie_party.policy.decision import check_algorithms, check_consent
from coterie_party.policy.policy import DatasetRules
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.malicious_aggregator import JOB, attacking
from tests.support.models import make_linear_model, make_model
from tests.support.plugins import install_algorithm
from tests.support.small_jobs import make_spec, write_play

MODULE = "algorithm_that_nobody_approved"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install an algorithm, as any package beside Coterie may do it."""
    folder = tmp_path / "site"
    metadata = folder / "unapproved-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unapproved\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[coterie.algorithms]\nunapproved = {MODULE}:Algorithm\n")
    (folder / f"{MODULE}.py").write_text("class Algorithm:\n    pass\n")
    monkeypatch.syspath_prepend(str(folder))
    return "unapproved"


@asynchronous
async def test_algorithm_outside_the_policy_is_not_even_loaded(tmp_path, plugin):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        party_id = federation.parties[0]
        spec, terms = make_spec(plugin, {}).to_bytes(), federation.job_terms().to_bytes()
        job_id, roster_digest = JobId("job-1"), federation.roster.digest
        proposal = JobProposal(job_id=job_id, roster_digest=roster_digest, spec=spec, terms=terms, signature=UNSIGNED)
        running.to_party(party_id, proposal.signed_by(federation.aggregator_key))
        reply = await running.saw(lambda who, message: who == party_id and isinstance(message, JobReply))
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (Decision.REFUSED, "consent-denied")
        assert MODULE not in sys.modules


def evaluating(model: Model) -> JobSpec:
    return make_spec("evaluation", {"model": model.to_document()})


def test_algorithm_of_a_model_to_be_evaluated_must_be_in_the_policy_too(plugin):
    tree, linear = make_model(), make_linear_model()
    for model in (replace(tree, algorithm=plugin), linear):
        with pytest.raises(ConsentDenied, match=model.algorithm):
            check_algorithms(generous_policy(), evaluating(model))
    assert MODULE not in sys.modules
    check_algorithms(generous_policy(), evaluating(tree))
    check_algorithms(generous_policy(algorithms=("evaluation", linear.algorithm)), evaluating(linear))


def test_network_of_a_model_to_be_evaluated_must_be_in_the_policy_too():
    spec = evaluating(replace(make_linear_model(), algorithm="network", body={"network": "mlp", "0.bias": np.zeros(2)}))
    allowed = generous_policy(algorithms=("evaluation", "network"), networks=("mlp",))
    check_algorithms(allowed, spec)
    with pytest.raises(ConsentDenied, match="network mlp, only: cnn"):
        check_algorithms(allowed.model_copy(update={"networks": ("cnn",)}), spec)


BACKBONE = """
from coterie_common.learning.algorithm import NamedCode
from coterie_common.learning.algorithms.statistics import Statistics

class Theirs(Statistics):
    name = "theirs"
"""

DECLARATION = """
    def named_code(self, table):
        return NamedCode(networks=(table["backbone"],), algorithms=tuple(table.get("helpers", ())))
"""


def test_code_that_a_plug_in_names_under_a_key_of_its_own_must_be_in_the_policy_too(tmp_path, monkeypatch):
    install_algorithm(monkeypatch, tmp_path, "theirs", BACKBONE + DECLARATION)
    policy = generous_policy(algorithms=("theirs", "statistics"), networks=("cnn",))
    allowed, network, helper = (
        make_spec("theirs", config)
        for config in (
            {"backbone": "cnn", "helpers": ["statistics"]},
            {"backbone": "resnet"},
            {"backbone": "cnn", "helpers": ["decision_tree"]},
        )
    )
    check_algorithms(policy, allowed)
    check_consent(policy, allowed, get_algorithm("theirs"))
    for spec, words in ((network, "network resnet, only: cnn"), (helper, "algorithm decision_tree, only: theirs")):
        with pytest.raises(ConsentDenied, match=words):
            check_algorithms(policy, spec)
        # A policy that was narrowed since is asked again for each query.
        with pytest.raises(ConsentDenied, match=words):
            check_consent(policy, spec, get_algorithm("theirs"))


def test_code_that_a_plug_in_does_not_declare_is_what_the_policy_cannot_see(tmp_path, monkeypatch):
    install_algorithm(monkeypatch, tmp_path, "theirs", BACKBONE)
    check_algorithms(generous_policy(algorithms=("theirs",)), make_spec("theirs", {"backbone": "resnet"}))


def test_plug_in_that_declares_nothing_at_all_is_no_algorithm(tmp_path, monkeypatch):
    methods = (name for name in vars(Algorithm) if not name.startswith("_") and name != "named_code")
    body = "\n".join(f"    {name} = None" for name in (*methods, "name", "records"))
    install_algorithm(monkeypatch, tmp_path, "theirs", f"class Theirs:\n{body}\n")
    with pytest.raises(ConfigurationError, match="lacks a method"):
        check_algorithms(generous_policy(algorithms=("theirs",)), make_spec("theirs", {}))


@pytest.mark.parametrize("model", [{}, {"algorithm": "decision_tree"}, {"safetensors": "AAAA"}, {"safetensors": 7}])
def test_embedded_model_that_cannot_be_read_is_refused(model):
    with pytest.raises(MalformedMessage):
        check_algorithms(generous_policy(), make_spec("evaluation", {"model": model}))


@asynchronous
async def test_delivered_model_of_an_algorithm_outside_the_policy_loads_none_of_its_code(tmp_path, plugin):
    async with attacking(tmp_path) as attacker:
        model = replace(make_model(), algorithm=plugin)
        lineage = {"job_id": JOB, "job_spec_digest": attacker.spec.digest.hex()}
        theirs = replace(model, lineage=model.lineage.model_copy(update=lineage))
        # Of a job that the party accepted, as another's model would not be kept at all.
        await attacker.accepted()
        answer = await attacker.tell(attacker.delivery(theirs.to_bytes()))
        # As a file it does no harm.
        assert isinstance(answer, ModelReceipt)
        assert MODULE not in sys.modules


def test_policy_names_the_algorithms_of_single_data_sets_too():
    rules = {"wards": DatasetRules(algorithms=("network",)), "other": DatasetRules()}
    assert generous_policy(algorithms=("statistics",), datasets=rules).all_algorithms == {"network", "statistics"}
