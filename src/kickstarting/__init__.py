"""kickstarting: train a new reinforcement-learning agent fast by also listening to old ones (Schmitt et al. 2018).

loss = V-trace actor-critic + lambda_k * H(pi_teacher || pi_student)    on the student's own trajectories
"""

from kickstarting.algo.attach import attach_loss
from kickstarting.algo.losses import cross_entropy, distillation_loss, kickstarting_loss
from kickstarting.algo.parsing import parse_schedule
from kickstarting.algo.schedules import Schedule
from kickstarting.algo.vtrace import VTraceReturns, vtrace
from kickstarting.config import Config
from kickstarting.evaluate import evaluate
from kickstarting.learner import Hyperparameters, Learner, LearnerConfig, TrainingError
from kickstarting.networks import build_network
from kickstarting.suites import load_suite
from kickstarting.teachers import load_teacher
from kickstarting.teachers.kickstarter import Kickstarter
from kickstarting.train import Update, train
from kickstarting.types import Inputs, Output, Trajectory

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Hyperparameters",
    "Inputs",
    "Kickstarter",
    "Learner",
    "LearnerConfig",
    "Output",
    "Schedule",
    "TrainingError",
    "Trajectory",
    "Update",
    "VTraceReturns",
    "attach_loss",
    "build_network",
    "cross_entropy",
    "distillation_loss",
    "evaluate",
    "kickstarting_loss",
    "load_teacher",
    "load_suite",
    "parse_schedule",
    "train",
    "vtrace",
]
