from .handouts import write_notebooks as write_notebooks
from .marking import mark_answers as mark_answers
from .marking import mark_folder as mark_folder
from .submissions import read_submissions as read_submissions
