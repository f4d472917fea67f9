import pytest

from neurorl import registry


@pytest.fixture(autouse=True)
def isolated():
  before = dict(registry._COMPONENTS)
  yield
  registry._COMPONENTS.clear()
  registry._COMPONENTS.update(before)


def define(module="my_lab.tasks", name="own_task"):
  def function(size: int, rate=0.5, *rest, flag=True, **more):
    """Steps twice,
    and stops. Not more.

    Args:
      size: of it.
    """
    return size, rate, rest, flag, more

  function.__module__, function.__name__ = module, name
  function.__qualname__ = name
  return registry.component(function), function


def test_a_component_is_the_function_itself():
  registered, function = define()
  assert registered is function
  assert registry.components()["own_task"].function is function


def test_only_named_parameters_can_be_bound():
  define()
  found = registry.find("own_task")
  assert list(found.parameters) == ["size", "rate", "flag"]
  assert found.summary == "Steps twice, and stops. Not more."


def test_denied_parameters_cannot_be_bound():
  _, function = define()
  denied = {"size": "is not yours"}
  new = registry.Component("other", "a.other", lambda: function, denied)
  assert list(new.parameters) == ["rate", "flag"]


@pytest.mark.parametrize(
  "name, found",
  [
    ("own_task", True),
    ("tasks.own_task", True),
    ("my_lab.tasks.own_task", True),
    ("lab.tasks.own_task", False),
    ("other.own_task", False),
    ("my_lab.tasks", False),
    ("step", False),
    ("", False),
  ],
)
def test_names_within_modules(name, found):
  define()
  assert (registry.find(name) is not None) == found


def test_names_are_unique():
  define("a.b")
  define("a.b")  # the same place: a module that is imported again
  with pytest.raises(ValueError) as error:
    define("c.d")
  assert "'own_task': a.b.own_task and c.d.own_task" in str(error.value)
  assert registry.find("own_task").place == "a.b.own_task"


def test_components_are_loaded_once_and_late():
  calls = []

  def load():
    calls.append(1)
    return define()[1]

  registry.add(registry.Component("late", "a.late", load))
  assert "late" in registry.components()
  assert not calls
  found = registry.find("late")
  assert found.function is found.function
  assert calls == [1]


@pytest.mark.parametrize(
  "name, names, words",
  [
    ("lsmt", ["lstm", "gru"], "; did you mean 'lstm'?"),
    ("ab1", ["ab2", "ab3"], "; did you mean 'ab3' or 'ab2'?"),
    ("catch", ["Catch-bsuite", "Freeway"], "; did you mean 'Catch-bsuite'?"),
    ("zzz", ["b", "a", "b"], "; allowed: a, b"),
    ("zzz", [f"name_{i}" for i in range(13)], ""),
    ("zzz", [], ""),
  ],
)
def test_nearest(name, names, words):
  assert registry.nearest(name, names) == words
