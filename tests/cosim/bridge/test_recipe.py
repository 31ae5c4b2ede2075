import pytest

from cosim.bridge import LossScale, Recipe, RoleSpec
from pysim import InputError

ROLES = ("weight", "activation", "error", "gradient")


def roles(**changes):
    return {"roles": {role: {"format": "e5m2"} for role in ROLES} | changes}


def test_shipped_recipes():
    names = set(Recipe.names())
    assert {"mellempudi2019", "mellempudi2019-enhanced", "hybrid", "fp32", "bf16"} < names
    for name in names:
        recipe = Recipe.named(name)
        assert recipe.name == name
        assert recipe.description
        assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.named("e5m2-sr").loss_scale == LossScale.of(1024)


def test_the_paper():
    recipe = Recipe.named("mellempudi2019")
    assert recipe.exempt == ("first-convolution", "last-linear")
    assert recipe.exempt_format == recipe.master.format == "fp16"
    assert recipe.loss_scale == LossScale("static", 10_000.0)
    enhanced = Recipe.named("mellempudi2019-enhanced").loss_scale
    assert enhanced.floors == ((40_000, 8192.0), (150_000, 32_768.0))


@pytest.mark.parametrize(
    ("name", "formats", "roundings"),
    [
        ("mellempudi2019", "e5m2 e5m2 e5m2 e5m2", "nearest stochastic stochastic stochastic"),
        ("e5m2-sr", "e5m2 e5m2 e5m2 e5m2", "nearest nearest stochastic stochastic"),
        ("e5m2-nearest", "e5m2 e5m2 e5m2 e5m2", "nearest nearest nearest nearest"),
        ("hybrid", "e4m3 e4m3 e5m2 fp32", "nearest nearest nearest nearest"),
    ],
)
def test_shipped_recipes_say_what_their_names_promise(name, formats, roundings):
    specs = [Recipe.named(name).role(role) for role in ROLES]
    assert [spec.format for spec in specs] == formats.split()
    assert [spec.rounding for spec in specs] == roundings.split()
    assert all(spec.saturate for spec in specs)


def test_dictionary_round_trip():
    recipe = Recipe.named("hybrid")
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_toml_file_names_itself(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(f'[roles.{role}]\nformat = "e4m3"' for role in ROLES))
    recipe = Recipe.from_toml(path)
    assert recipe.name == "mine"
    assert recipe.error == RoleSpec("e4m3", "nearest", True)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (roles(weights={"format": "e5m2"}), "unknown role 'weights': allowed are weight, "),
        (roles() | {"loss": 1}, "unknown key 'loss' of a recipe: allowed are loss_scale, "),
        (roles(error={"format": "e5m2", "mode": "x"}), "role 'error': unknown key 'mode'"),
        (roles(error={"format": "e6m1"}), "role 'error': unknown format 'e6m1'"),
        (roles(error={"format": "fp16"}), "role 'error': unknown format 'fp16': allowed are e5m2"),
        (roles(gradient={"format": "fp8"}), "role 'gradient': unknown format 'fp8'"),
        (roles(weight={"format": "e5m2", "rounding": "up"}), "role 'weight': unknown rounding"),
        (roles(weight={"format": "e5m2", "saturate": 1}), "saturate 1 is not true or false"),
        (roles(weight={}), "role 'weight': a role needs a key 'format'"),
        (roles(weight="e5m2"), "role 'weight': a role must be a table, not 'e5m2'"),
        ({"roles": {"weight": {"format": "e5m2"}}}, "role 'activation' is missing"),
        ({"roles": 3}, "roles must be a table, not 3"),
        ([], "a recipe must be a table"),
        (roles() | {"loss_scale": 0}, "loss_scale 0 is out of range"),
        (roles() | {"loss_scale": float("nan")}, "loss_scale nan is out of range"),
        (roles() | {"loss_scale": "1"}, "loss_scale '1' is not a number"),
        (roles() | {"loss_scale": {"kind": "slow"}}, "unknown kind 'slow' of loss_scale"),
        (roles() | {"loss_scale": {"kind": "dynamic"}}, "no overflow would be noticed"),
        (roles() | {"master": {"format": "fp8"}}, "unknown format 'fp8' of masters"),
        (roles() | {"master": {"bits": 16}}, "unknown key 'bits' of master"),
        (roles() | {"master": 16}, "master must be a table, not 16"),
        (roles() | {"exempt": "last-linear"}, "exempt 'last-linear' must be a list"),
        (roles() | {"exempt_format": "fp8"}, "unknown exempt_format 'fp8': allowed are fp32"),
        (roles() | {"random_bits": 0}, "random_bits 0 is out of range: 1 to 24"),
        (roles(error={"format": "e5m2", "scaling": "x"}), "unknown scaling 'x': allowed are none"),
        (roles(error={"format": "e5m2", "scaling": "current"}), "where a role is scaled"),
        (roles() | {"name": 1}, "name 1 is not a text"),
    ],
)
def test_bad_recipes_are_named(values, sentence):
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(values)
    assert sentence in str(caught.value)


VARIANTS = {
    "mellempudi2019-enhanced": {"description", "name", "loss_scale", "error", "gradient"},
    "mellempudi2019-dynamic": {"description", "name", "loss_scale", "error", "gradient"},
    "mellempudi2019-dynamic-from-8": {"description", "name", "loss_scale", "error", "gradient"},
    "mellempudi2019-nearest": {"description", "name", "activation", "error", "gradient"},
    "mellempudi2019-rne-activations": {"description", "name", "activation"},
    "mellempudi2019-fp32-masters": {"description", "name", "master"},
    "mellempudi2019-stochastic-masters": {"description", "name", "master"},
    "mellempudi2019-loss-scale-1000": {"description", "name", "loss_scale"},
    "mellempudi2019-loss-scale-10": {"description", "name", "loss_scale"},
    "mellempudi2019-loss-scale-1": {"description", "name", "loss_scale"},
    "mellempudi2019-2-bits": {"description", "name", "random_bits"},
    "mellempudi2019-3-bits": {"description", "name", "random_bits"},
    "mellempudi2019-4-bits": {"description", "name", "random_bits"},
    "mellempudi2019-8-bits": {"description", "name", "random_bits"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_change_one_thing(name):
    paper, variant = vars(Recipe.named("mellempudi2019")), vars(Recipe.named(name))
    assert {key for key, value in variant.items() if value != paper[key]} == VARIANTS[name]


def test_a_file_can_be_based_on_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "mellempudi2019"\n[roles.error]\nrounding = "nearest"')
    mine, paper = Recipe.from_toml(path), Recipe.named("mellempudi2019")
    assert (mine.name, mine.description) == ("mine", "")
    assert mine.error == RoleSpec("e5m2", "nearest")
    assert (mine.gradient, mine.master, mine.exempt) == (paper.gradient, paper.master, paper.exempt)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('based_on = "fp4"', "unknown recipe 'fp4': allowed are bf16"),
        ("based_on = [1]", "unknown recipe [1]"),
        ('based_on = "fp32"\n[roles.bias]', "unknown role 'bias'"),
        ('based_on = "fp32"\n[roles]\nerror = 3', "a role must be a table, not 3"),
        ('based_on = "fp32"\nmaster = 3', "master must be a table, not 3"),
        ('based_on = "fp32"\nroles = 3', "roles must be a table, not 3"),
    ],
)
def test_bad_files_based_on_a_recipe_are_named(tmp_path, text, sentence):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Recipe.from_toml(path)
    assert "mine.toml" in str(caught.value)
    assert sentence in str(caught.value)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"recipe '.*none\.toml' cannot be read"):
        Recipe.from_toml(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("= 3")
    with pytest.raises(InputError, match=r"recipe '.*bad\.toml' is not TOML"):
        Recipe.from_toml(path)
    path.write_text("[roles.bias]")
    with pytest.raises(InputError, match=r"recipe '.*bad\.toml': unknown role 'bias'"):
        Recipe.from_toml(path)


def test_unknown_name_lists_the_recipes():
    with pytest.raises(InputError, match="unknown recipe 'fp4': allowed are bf16, e5m2-nearest"):
        Recipe.named("fp4")
