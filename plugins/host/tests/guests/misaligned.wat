;; Points to its answer where no answer can be.
;;; pick
(i32.const 0xfffffff1)
