"""Plausible mistakes: for each exercise of each notebook one that students make, and what its check should say.

By notebook, then by the variable that the exercise asks for: the mistake, its code, words of the check.
"""

WRONG = {
    "01_inspect_dataset": {
        "my_baseline": (
            "per cent in place of a share",
            "my_baseline = 100 * max(labels.mean(), 1 - labels.mean())",
            "100 times too large: did you use per cent",
        ),
        "my_share": (
            "the number of slices, not their share",
            "my_share = len(subject.annotated_slices)",
            "times too large",
        ),
        "my_liar": ("the bright one", "my_liar = 'B'", "“B” is not right. Look at the figure"),
    },
    "02_preprocess": {
        "my_mask": (
            "a threshold alone, scalp and eyes included",
            "my_mask = np.asarray(scan.dataobj) > 0.25 * np.quantile(scan.dataobj, 0.99)",
            "at least 0.80",
        ),
        "my_field": (
            "what corrects the bias, not the bias",
            "my_field = new_image_like(corrected.get_fdata() / np.maximum(scan.get_fdata(), 1), scan)",
            "inverted",
        ),
        "my_transform": (
            "shifted the other way",
            "masks = preprocess.load_template()[1], brain\n"
            "points = [nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0)) for mask in masks]\n"
            "my_transform = np.eye(4)\n"
            "my_transform[:3, 3] = points[1].mean(axis=0) - points[0].mean(axis=0)",
            "It is the inverse",
        ),
        "my_spread": (
            "the spread before, not after",
            "my_spread = on_template.get_fdata()[brain_on_template.get_fdata() > 0].std()",
            "times too large",
        ),
    },
    "03_learn_cnn_features": {
        "my_weights": (
            "cubes taken for squares",
            "my_weights = 16 * 3 * 3 * len(arrays.contrasts)",
            "about 3 times too small",
        ),
        "my_train, my_test": (
            "everybody trains",
            "my_train, my_test = list(fold_of.index), list(fold_of.index[fold_of == 0])",
            "in both sets",
        ),
        "my_auc": (
            "the AUC of the lower class",
            "from sklearn.metrics import roc_auc_score\n"
            "my_auc = roc_auc_score(labels, 1 - held_out.cnn_probability[labels.index])",
            "The AUC of the CNN alone is",
        ),
    },
    "04_grade_with_ann": {
        "my_features": ("the first columns, not the best", "my_features = list(columns[:5])", "wrong: "),
        "my_balanced": (
            "the sum of both hit rates, not their mean",
            "(tn, fp), (fn, tp) = scores['confusion_matrix']\nmy_balanced = tn / (tn + fp) + tp / (tp + fn)",
            "The balanced accuracy is",
        ),
        "my_margin": (
            "one standard error, not 1.96 of them",
            "n1, n2 = scores['class_counts'].values()\n"
            "effect = scores['permutation']['design_effects']['auc']\n"
            "my_margin = np.sqrt(effect * (n1 + n2 + 1) / (12 * n1 * n2))",
            "too small",
        ),
    },
    "05_extract_tumour": {
        "my_tumour": (
            "the dark voxels",
            "my_tumour = new_image_like((load_image(scan).get_fdata() < 0).astype(np.uint8), load_image(scan))",
            "too large",
        ),
        "my_volume": (
            "mm³ called mL",
            "mask = load_mask(found)\n"
            "my_volume = float(np.sum(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])))",
            "1000 times too large: did you use mm³ in place of mL",
        ),
        "my_part": (
            "the share of the slices, not of the tumour",
            "my_part = 3 / load_mask(truth).shape[2]",
            "The share in three slices is",
        ),
        "my_share": (
            "the other way round",
            "my_share = errors['kmeans'].mean() / errors['epitome'].mean()",
            "too large",
        ),
    },
    "06_case_report": {
        "my_volume": (
            "the volume by the true header",
            "my_volume = size['volume_ml']",
            "times too large",
        ),
        "my_chance": (
            "the chance of one head, not of ten",
            "my_chance = 0.9",
            "about 2.6 times too large",
        ),
        "my_dice": (
            "the share of voxels named alike, background included",
            "one, two = (load_mask(path).get_fdata() for path in (report.tumour, other))\n"
            "my_dice = (one == two).mean()",
            "too large",
        ),
    },
    "interval_coverage": {
        "my_coverage": (
            "the share that misses",
            "my_coverage = ((fixed.low > truth) | (fixed.high < truth)).mean()",
            "too small",
        ),
        "my_false": ("the other side of 0.05", "my_false = (fixed.p > 0.05).mean()", "too large"),
        "my_next": (
            "the next truth, not the next AUC",
            "my_next = ((trained.low <= truth) & (truth <= trained.high)).mean()",
            "too large",
        ),
    },
    "leakage": {
        "my_train, my_test": (
            "slices split one by one",
            "my_test = names[::5]\nmy_train = [name for name in names if name not in my_test]",
            "Split by subject, not by slice",
        ),
        "my_pipeline": (
            "no selection inside",
            "from sklearn.linear_model import LogisticRegression\n"
            "from sklearn.pipeline import make_pipeline\n"
            "from sklearn.preprocessing import StandardScaler\n"
            "my_pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))",
            "2000 features reach the last step, not 12",
        ),
        "my_alarms": (
            "every leak that was made",
            "my_alarms = ['slices', 'selection', *experiments]",
            "wrong: ",
        ),
    },
    "seed_autopsy": {
        "my_low": (
            "the interval of a bell curve",
            "my_low = 22 / 32 - 1.96 * np.sqrt(22 / 32 * 10 / 32 / 32)",
            "The lower end is 0.527, which is too large",
        ),
        "my_share": (
            "per cent in place of a share",
            "my_share = 100 * weights['dense_first'] / weights.sum()",
            "100 times too large",
        ),
        "my_sure": (
            "whatever went up",
            "my_sure = int((changes['change of the AUC'] > 0).sum())",
            "The number of sure improvements is",
        ),
    },
}
