"""OULAD's official files with invented rows, written to a folder."""

from __future__ import annotations

from pathlib import Path

COURSES = """\
code_module,code_presentation,module_presentation_length
ZZZ,2013B,240
ZZZ,2013J,268
"""
ASSESSMENTS = """\
code_module,code_presentation,id_assessment,assessment_type,date,weight
ZZZ,2013J,12,TMA,60,50.0
ZZZ,2013J,11,TMA,19,50.0
ZZZ,2013J,13,Exam,,100.0
ZZZ,2013B,21,CMA,30,100.0
"""
INFO = """\
code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,\
num_of_prev_attempts,studied_credits,disability,final_result
ZZZ,2013J,501,F,Wales,A Level or Equivalent,10-20,35-55,1,60,N,Pass
ZZZ,2013B,501,F,Wales,A Level or Equivalent,10-20,35-55,0,60,N,Withdrawn
ZZZ,2013J,502,M,Wales,No Formal quals,,55<=,0,60,Y,Fail
"""
REGISTRATION = """\
code_module,code_presentation,id_student,date_registration,date_unregistration
ZZZ,2013B,501,-10,5
ZZZ,2013J,502,,
ZZZ,2013J,501,-31,
"""
SUBMISSIONS = """\
id_assessment,id_student,date_submitted,is_banked,score
11,501,18,0,78
13,501,268,0,100
12,501,-1,1,55
11,502,20,0,
"""

FILES = {
    "courses.csv": COURSES,
    "assessments.csv": ASSESSMENTS,
    "studentInfo.csv": INFO,
    "studentRegistration.csv": REGISTRATION,
    "studentAssessment.csv": SUBMISSIONS,
}


def write(folder: Path, **changed: str) -> Path:
    """The files; ``changed`` replaces a file by its name without ``.csv``."""
    for name, text in FILES.items():
        (folder / name).write_text(changed.get(name.removesuffix(".csv"), text))
    return folder
