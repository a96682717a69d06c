"""From the tree of a folder to what it means: which folders are splits, classes, or left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from explorer.data.folder_description import FolderDescription, Part
from explorer.data.folder_places import check_for_classes
from explorer.data.folder_words import ROLES, class_name, role_of
from explorer.data.folders import NAMED, Branch, DataError, below, listed, printable, read_folder
from explorer.data.labels import class_key, match_names
from explorer.data.same_files import MOST_COMPARED, same_bytes
from explorer.display.words import natural_key

LOOSE = "beside the class folders, so of no class"


class FolderReader:
    """Reads the tree of a folder: what `describe` does, a step a method."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tree, self.remains = read_folder(folder)
        # In natural order.
        self.files = {path: (place, Path(path)) for place, path in enumerate(self.tree.files())}
        self.notes: list[str] = []
        self._left: set[str] = set()  # folders

    def read(self) -> FolderDescription:
        photos = tuple(file for _, file in self.files.values())
        classes: tuple[str, ...] = ()
        parts: tuple[Part, ...] = ()
        try:
            classes, parts, problem = self._parts()
        except DataError as error:
            problem = str(error)
        self._note_twins(parts)
        return FolderDescription(self.folder, photos, classes, parts, self.remains.all(), tuple(self.notes),
                                 problem)

    # --- which folders are what ---

    def _parts(self) -> tuple[tuple[str, ...], tuple[Part, ...], str]:
        """(classes, parts, what keeps one from learning from them).

        Raises DataError where the photos have no classes.
        """
        if not self.tree.holds_any():
            others = self.remains.all()
            besides = f" ({' '.join(map(str, others[:2]))})" if others else ""
            raise DataError(f"'{self._shown(self.tree)}' holds no photos and no class folders{besides}. Put "
                            "the photos of each class into a folder with its name.")
        top = self._unwrapped(self.tree)
        roles = self._roles(top)
        for branch in (top, *roles.values()):
            check_for_classes(branch, printable(os.path.basename(self.tree.path)))
        if not roles:
            self._check_levels(top)
            members = self._classes(top)
            classes = tuple(sorted(members))
            problem = self._one_class(classes, top) if len(classes) < 2 else ""
            return classes, (self._part("all", top, members, classes),), problem
        return self._split(top, roles)

    def _split(
        self, top: Branch, roles: Mapping[str, Branch],
    ) -> tuple[tuple[str, ...], tuple[Part, ...], str]:
        """As `_parts`, of a folder that somebody has split."""
        self._empty(top)
        for branch in self._full(top):
            if not any(branch is taken for taken in roles.values()):
                self._leave(branch, f"beside {listed([one.name for one in roles.values()])}, of which the "
                                    "photos are taken")
        for name in top.pictures:
            self.remains.add(LOOSE, self._name(os.path.join(top.path, name)), photos=True)
        found: dict[str, dict[str, list[Branch]]] = {}
        folders: dict[str, Branch] = {}
        for role, branch in roles.items():
            inner = self._unwrapped(branch, inside_split=True)
            if not self._full(inner):
                why = "photos without class folders, so nobody says what they show"
                if role == "train":
                    raise DataError(f"'{self._shown(branch)}' holds {why}. Put the photos of each class into "
                                    "a folder with its name.")
                self._leave(branch, why)
                continue
            self._check_levels(inner)
            found[role], folders[role] = self._classes(inner), inner
        first = next(iter(found), None)
        if first is None:
            raise DataError(f"'{self._shown(top)}' holds photos without class folders: nobody says what they "
                            "show. Put the photos of each class into a folder with its name.")
        classes = tuple(sorted(found[first]))
        parts, problem = [self._part(first, folders[first], found[first], classes)], ""
        for role in list(found)[1:]:
            part, strange = self._judged(role, folders[role], found[role], classes, roles[first].name)
            if part is not None:
                parts.append(part)
            if strange and len(parts) > 1:  # there are others to judge by
                self.notes.append(strange)
            else:
                problem = problem or strange
        if first != "train":
            problem = (f"'{self._shown(top)}' holds {listed([one.name for one in roles.values()])} to judge "
                       "by, but nothing to learn from: give a folder that has train/ too, or the folder to "
                       f"learn from itself, such as '{self._shown(roles[first])}'.")
        elif len(classes) < 2:
            problem = self._one_class(classes, folders[first])
        given = [part.role for part in parts]
        if "val" in given and "test" in given:
            self.notes.append(f"{roles['val'].name} is taken to judge by; {roles['test'].name} is left for "
                              f"the end: evaluate(run, '{self._shown(roles['test'])}', split='all').")
        return classes, tuple(parts), problem

    def _judged(self, role: str, branch: Branch, members: Mapping[str, list[Branch]], classes: Sequence[str],
                learnt: str) -> tuple[Part | None, str]:
        """(the part, problem) of the photos to judge by, whose classes are told by their names."""
        names = sorted(members)
        places = match_names(classes, names)
        if strange := [name for name, place in zip(names, places) if place is None]:
            return None, (f"'{branch.name}' has classes that are unknown elsewhere ({listed(strange)}): "
                          f"'{learnt}' has no photos of them; its classes are {listed(classes)}. Name the "
                          "folders alike, or take these away.")
        renamed = [(name, classes[place]) for name, place in zip(names, places) if name != classes[place]]
        if renamed:
            taken = ", ".join(f"{name} is taken for {right}" for name, right in renamed[:NAMED])
            self.notes.append(f"In {branch.name}, {taken}{' and so on' * (len(renamed) > NAMED)}.")
        placed: dict[str, list[Branch]] = defaultdict(list)
        for name, place in zip(names, places):
            placed[classes[place]] += members[name]
        if missing := [name for name in classes if name not in placed]:
            self.notes.append(f"{branch.name} has no photos of {listed(missing)}: learnt, but not judged "
                              "there.")
        return self._part(role, branch, placed, classes), ""

    def _unwrapped(self, branch: Branch, *, inside_split: bool = False) -> Branch:
        """The folder where the classes are: deeper, where folders hold only one folder ("data/data/cat")."""
        inner = branch
        while not inner.pictures and len(full := self._full(inner)) == 1:
            inner = full[0]
        if inner is branch or inner.pictures or not self._full(inner):
            return branch  # one class, perhaps with folders inside
        for outer in self._way(branch, inner):
            if not inside_split and any((role_of(name) or ("",))[0] == "train" for name in outer.below):
                return outer  # a split with nothing to judge by, or whose folder to learn from is empty
        if not inside_split:
            self.notes.append(f"The class folders are deeper inside, in '{self._name(inner.path)}': it is "
                              "taken.")
        for outer in self._way(branch, inner):
            self._empty(outer)
        return inner

    def _way(self, outer: Branch, inner: Branch) -> Iterator[Branch]:
        """The folders from `outer` to the one above `inner`."""
        while outer is not inner:
            yield outer
            outer = self._full(outer)[0]

    def _roles(self, top: Branch) -> dict[str, Branch]:
        """{"train", "val", "test": its folder}, in this order; {} where the folders are classes."""
        groups: dict[str, dict[str, list[Branch]]] = defaultdict(lambda: defaultdict(list))
        for name, branch in top.below.items():
            if (found := role_of(name)) is not None:
                groups[found[1]][found[0]].append(branch)
        full = self._full(top)
        for group in groups.values():
            filled = {role: [one for one in group[role] if one.holds_any()] for role in ROLES
                      if role in group}
            others = [one for one in full
                      if not any(one is member for members in filled.values() for member in members)]
            train = filled.get("train", [])
            judged = [one for role in ("val", "test") for one in filled.get(role, [])]
            if not judged and (others or not train):  # a class called "train" beside "bus" and "car"
                continue
            if train and others and not any(self._full(one) for one in train):
                continue
            if not train and (others or (len(judged) < 2 and "train" not in group)):
                continue
            if not train and "train" in group:
                raise DataError(f"'{self._shown(group['train'][0])}' holds no photo: there is nothing to "
                                "learn from. Put a folder of photos for each class into it.")
            if many := next((members for members in filled.values() if len(members) > 1), None):
                raise DataError(f"{listed([one.name for one in many])} in '{self._shown(top)}' could all be "
                                "the same split. Give a pair, the folder to learn from and the one to judge "
                                f"by, such as ('{self._shown((train or many)[0])}', "
                                f"'{self._shown((judged or many)[-1])}').")
            return {role: members[0] for role, members in filled.items() if members}
        return {}

    def _check_levels(self, top: Branch) -> None:
        """Raises DataError where the "classes" hold the same folders, which may be classes ("fold1/cat")."""
        full = self._full(top)
        inside = [(branch, {class_key(one.name) for one in self._full(branch)}) for branch in full
                  if not branch.pictures]
        inside = [(branch, names) for branch, names in inside if len(names) > 1]
        if len(inside) < 2 or 2 * len(inside) < len(full):
            return
        common = set.intersection(*(names for _, names in inside))
        if len(common) < 2 or 2 * len(common) < max(len(names) for _, names in inside):
            return
        outer = [branch.name for branch, _ in inside]
        shared = sorted((one.name for one in self._full(inside[0][0]) if class_key(one.name) in common),
                        key=natural_key)
        first, second = (self._shown(branch) for branch, _ in inside[:2])
        if all(role_of(name) for name in shared):
            raise DataError(f"In '{self._shown(top)}' each class has folders {listed(shared)} of its own "
                            f"({listed(outer)}). Put the split outside: {shared[0]}/{outer[0]}, "
                            f"{shared[1]}/{outer[0]}, and so on.")
        raise DataError(
            f"In '{self._shown(top)}' the folders {listed(outer)} all hold the same folders "
            f"({listed(shared)}), so that either could be the classes. If {listed(shared)} are, give one of "
            f"the folders, such as '{first}', or a pair to learn from and to judge by, ('{first}', "
            f"'{second}'). If {listed(outer)} are, put their photos into them without folders between.")

    def _classes(self, top: Branch) -> dict[str, list[Branch]]:
        """{class: its folders}, only those with photos. Raises DataError where there is none."""
        members: dict[str, list[Branch]] = defaultdict(list)
        for branch in self._full(top):
            members[class_name(branch.name) or branch.name].append(branch)
        if not members:
            count = len(top.pictures)
            raise DataError(f"'{self._shown(top)}' holds no class folders, but {count} "
                            f"photo{'s' * (count != 1)} of which nobody says what "
                            f"{'they show' if count != 1 else 'it shows'}. Put the photos of each class into "
                            "a folder with its name.")
        self._empty(top)
        for name in top.pictures:
            self.remains.add(LOOSE, self._name(os.path.join(top.path, name)), photos=True)
        twins = [name for name, branches in members.items() if len(branches) > 1]
        if twins:
            self.notes.append("Folders whose names differ in nothing that one sees are one class: "
                              f"{listed(twins)}.")
        alike: dict[str, list[str]] = defaultdict(list)
        for name in members:
            alike[class_key(name)].append(name)
        for names in alike.values():
            if len(names) > 1:
                self.notes.append(f"{listed(names)} are two classes here, and differ in case or spaces "
                                  "alone: if they are the same, put their photos into one folder.")
        nested = [one for branches in members.values() for branch in branches for one in self._full(branch)]
        if nested:
            self.notes.append("Photos in folders inside of a class folder are of that class: "
                              f"{self._some([one.path for one in nested])}.")
        return dict(members)

    def _part(self, role: str, branch: Branch, members: Mapping[str, Iterable[Branch]],
              classes: Sequence[str]) -> Part:
        files: list[str] = []
        labels: list[int] = []
        for index, name in enumerate(classes):
            found = sorted((path for one in members.get(name, ()) for path in one.all()),
                           key=lambda path: self.files[path][0])
            files += found
            labels += [index] * len(found)
        return Part(role, Path(branch.path), tuple(printable(below(branch.path, path)) for path in files),
                    tuple(self.files[path][1] for path in files), tuple(labels))

    def _one_class(self, classes: Sequence[str], top: Branch) -> str:
        empty = [one.name for one in top.below.values() if not one.holds_any()]
        besides = f" ({listed(empty)} hold{'s' * (len(empty) == 1)} no photo)" if empty else ""
        return (f"'{self._shown(top)}' has one class, {classes[0]!r}{besides}: there is nothing to tell "
                "apart. Add another folder with photos of something else.")

    # --- the same photo twice ---

    def _note_twins(self, parts: Sequence[Part]) -> None:
        """Notes on photos that are in two parts, or of two classes, byte for byte."""
        photos = [(part, i) for part in parts for i in range(len(part))]
        groups, whole = same_bytes([part.files[i] for part, i in photos])
        across, classes, twice = [], [], []
        for group in groups:
            members = [photos[k] for k in group]
            names = [self._name(str(part.files[i])) for part, i in members]
            by_role = {part.role: name for (part, _), name in zip(members, names)}
            by_class = {part.labels[i]: name for (part, i), name in zip(members, names)}
            if len(by_role) > 1:
                across.append(" = ".join(by_role.values()))
            if len(by_class) > 1:
                classes.append(" = ".join(list(by_class.values())[:3]))
            elif len(by_role) == 1 and len(parts) == 1:
                twice.append(" = ".join(names[:3]))
        for found, what in (
            (across, "in more than one part, byte for byte; such a photo judges nothing"),
            (classes, "in the folders of more than one class, byte for byte; one of them is wrong"),
            # nobody has split them, so that a draw may put one on each side
            (twice, "there more than once, byte for byte; the same one may be learnt from and judged by"),
        ):
            if found:
                self.notes.append(f"{len(found)} photo{'s are' if len(found) > 1 else ' is'} {what}: "
                                  f"{listed(found[:3], len(found))}.")
        if not whole:
            self.notes.append(f"Whether photos are there twice was looked at for {MOST_COMPARED:,} files of "
                              "equal size; there are more.")

    # --- small things ---

    def _full(self, branch: Branch) -> list[Branch]:
        return [one for one in branch.below.values() if one.holds_any()]

    def _empty(self, branch: Branch) -> None:
        for one in branch.below.values():
            if not one.holds_any():
                self._leave(one, "it holds no photo")

    def _leave(self, branch: Branch, why: str) -> None:
        if branch.path not in self._left:
            self._left.add(branch.path)
            self.remains.add(why, self._name(branch.path), photos=branch.holds_any())

    def _name(self, path: str) -> str:
        return printable(below(self.tree.path, path))

    def _some(self, paths: Sequence[str]) -> str:
        return listed([self._name(path) for path in paths[:NAMED]], len(paths))

    @staticmethod
    def _shown(branch: Branch) -> str:
        return printable(branch.path)
