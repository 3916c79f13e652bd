import pytest
import torch

from neuray_mrvm.networks.mrvm_heads import follow, projection_head, target_of


@pytest.fixture
def head(weights):
    def build(name):
        head = projection_head(16, 16, 16)
        head.load_state_dict(weights(root=f"{name}."))
        return head

    return build


def test_heads_are_those_of_the_reference(head, array, reference):
    want = reference("networks")
    projector, predictor = head("projector"), head("predictor")
    x = array("proj_in", (200, 16))
    projected = projector.eval()(x)
    torch.testing.assert_close(projected, want["projector_eval"], rtol=0, atol=1e-4)
    torch.testing.assert_close(predictor.eval()(projected), want["predictor_eval"], rtol=0, atol=1e-4)
    projected = projector.train()(x)
    torch.testing.assert_close(projected, want["projector_train"], rtol=0, atol=1e-4)
    torch.testing.assert_close(predictor.train()(projected), want["predictor_train"], rtol=0, atol=1e-4)
    torch.testing.assert_close(projector[1].running_mean, want["projector_running_mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(projector[1].running_var, want["projector_running_var"], rtol=0, atol=1e-4)


def test_the_target_starts_as_a_copy_and_follows_with_its_own_statistics(head):
    projector = head("projector")
    target = target_of(projector)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(torch.equal(a, b) for a, b in zip(target.parameters(), projector.parameters(), strict=True))
    statistics = target[1].running_mean.clone()
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter += 1
        projector[1].running_mean += 1
    follow(target, projector, gamma=0.75)
    for slow, fast in zip(target.parameters(), projector.parameters(), strict=True):
        torch.testing.assert_close(slow, fast - 0.75)
    assert torch.equal(target[1].running_mean, statistics)
