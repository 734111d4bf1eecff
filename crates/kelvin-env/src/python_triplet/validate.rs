//! From a proposer's response, or a record of a seed file, to a problem.

use kelvin_core::{
    environment::Given,
    executor::Names,
    task::{Reason, Rejection, Task, TaskType},
};
use kelvin_python::program::{Helper, Policy, contains_program};

use super::{
    Composition, Form, Problem, ProgramRules, Proposal, PythonTriplet, Settings, check,
    composite::{Wrappers, composed, helpers},
    error, leak,
};

impl PythonTriplet {
    /// What becomes of a response, read in this form, whose program is held to these rules.
    pub(super) fn validate_response(
        &self,
        form: Form,
        rules: &ProgramRules,
        task_type: TaskType,
        given: Given<'_, Problem>,
        response: &str,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        match self.settings.prompt_set.parse_proposal(form, task_type, response) {
            Err(rejection) => Ok(Err(rejection)),
            Ok(Proposal::Triplet { program, input }) => match rules.apply(&program) {
                Err(rejection) => Ok(Err(rejection)),
                Ok(program) => self.validate_triplet(task_type, given.helpers, &program, input),
            },
            Ok(Proposal::Induction { inputs, message }) => {
                let [reference] = given.references else {
                    panic!("an induction proposal is about one program")
                };
                self.validate_induction(reference.payload.program(), &inputs, message)
            }
        }
    }

    /// A proposal of any type but induction.
    pub(super) fn validate_triplet(
        &self,
        task_type: TaskType,
        lent: &[Task<Problem>],
        program: &str,
        input: String,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        let lent = helpers(lent);
        let made = match lent.is_empty() {
            true => Ok((program.to_owned(), None)),
            false => self.composed(task_type, &lent, program),
        };
        let (program, composition) = match made {
            Ok(made) => made,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let checked = match task_type {
            TaskType::Error => {
                let Settings { limits, banned_error_keywords, .. } = &self.settings;
                error::validate_error(&*self.executor, limits, banned_error_keywords, &program, &input)?
            }
            TaskType::Deduction | TaskType::Abduction | TaskType::Induction | TaskType::Question => {
                self.validate_program(&program, &[input])?
            }
        };
        Ok(checked.map(|check::Valid { program, inputs, outputs }| {
            let [input, output] =
                [inputs, outputs].map(|mut texts| texts.pop().expect("one input, one output"));
            Problem::Triplet { program, input, output, composition }
        }))
    }

    fn composed(
        &self,
        task_type: TaskType,
        lent: &[Helper],
        program: &str,
    ) -> Result<(String, Option<Composition>), Rejection> {
        let policy = match task_type {
            TaskType::Error => Policy::Kelvin,
            TaskType::Deduction | TaskType::Abduction | TaskType::Induction | TaskType::Question => {
                self.settings.policy
            }
        };
        let wrappers = match self.settings.composite_wrappers_allowed {
            true => Wrappers::Allowed,
            false => Wrappers::Rejected,
        };
        composed(lent, program, &policy, wrappers).map(|(source, composition)| (source, Some(composition)))
    }

    pub(super) fn validate_induction(
        &self,
        program: &str,
        inputs: &[String],
        message: String,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        let n_chars = message.chars().count();
        if self.settings.message_chars_max < n_chars {
            let detail = format!(
                "a message of {n_chars} characters, the limit is {}",
                self.settings.message_chars_max
            );
            return Ok(Err(Rejection::new(Reason::PromptTooLong, detail)));
        }
        let Settings { leak_programs, leak_tokens, .. } = self.settings;
        if (leak_programs && contains_program(&message))
            || leak::shares_tokens(&message, program, leak_tokens)
        {
            return Ok(Err(Rejection::new(Reason::Leak, message)));
        }
        Ok(self.validate_program(program, inputs)?.map(|valid| {
            let check::Valid { program, inputs, outputs } = valid;
            Problem::Induction { program, inputs, outputs, message }
        }))
    }

    fn validate_program(
        &self,
        program: &str,
        inputs: &[String],
    ) -> anyhow::Result<Result<check::Valid, Rejection>> {
        let Settings { limits, policy, returns_none_allowed, .. } = &self.settings;
        let checked =
            check::validate_program(&*self.executor, limits, policy, program, inputs, Names::Literals)?;
        Ok(checked.and_then(|valid| {
            if !returns_none_allowed && valid.outputs.iter().any(|output| output == "None") {
                return Err(Rejection::new(Reason::ReturnsNone, "the program returns None"));
            }
            Ok(valid)
        }))
    }
}
